"""A cluster that is already there, named by its kubeconfig. It is used and never ended."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import binaries, builders, versions
from tests.cluster.backends import KUBECONFIG
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.handle import Cluster
from tests.cluster.images import REGISTRY, Image
from tests.cluster.progress import say, step


def attach(name: str) -> Cluster:
    kubeconfig = Path(os.environ[KUBECONFIG]).expanduser().absolute()
    if not kubeconfig.exists():
        raise MissingPrerequisite(f"{KUBECONFIG} names {kubeconfig}, which is not there", "name a kubeconfig file")
    cluster = Cluster(name, kubeconfig, binaries.ensure_binaries(versions.CLIENTS), publish)
    cluster.kubectl("version")
    return cluster


def publish(images: Sequence[Image]) -> None:
    """Push to the registry the cluster pulls from, if one is named."""
    for image in images:
        if os.environ.get(REGISTRY):
            with step(f"pushing {image.reference}"):
                builders.push(image.reference)
        else:
            say(f"assuming that the nodes have {image.reference}; name a registry in {REGISTRY} to push it there")
