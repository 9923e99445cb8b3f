"""One cluster, one release of the chart and the images of this tree for all end-to-end tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, images, open_cluster
from tests.e2e.installed import ROOT, Namespace

NAMESPACES = ("ragops-e2e", "ragops-e2e-states", "ragops-e2e-kills")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with open_cluster("test") as opened:
        yield opened


@pytest.fixture(scope="session")
def built(cluster: Cluster) -> dict[str, images.Image]:
    found = images.build()
    cluster.load(found.values())
    return found


@pytest.fixture(scope="session")
def release(cluster: Cluster, built: dict[str, images.Image]) -> Namespace:
    """The chart, installed in the first namespace and serving them all; each enforces the `restricted` standard."""
    for name in NAMESPACES:
        cluster.kubectl("create", "namespace", name)
        cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    operator, runtime = (built[name].reference.rsplit(":", 1) for name in ("rag-operator", "rag-runtime"))
    cluster.helm(
        *("install", "ragops", str(ROOT / "charts/ragops"), "-n", NAMESPACES[0], "--wait", "--timeout", "3m"),
        *("--set-string", f"image.repository={operator[0]},image.tag={operator[1]}"),
        *("--set-string", f"runtime.image.repository={runtime[0]},runtime.image.tag={runtime[1]}"),
        *("--set", f"qdrant.image={built['qdrant-test'].reference}"),
        *("--set", f"watchNamespaces={{{','.join(NAMESPACES)}}}"),
    )
    return Namespace(cluster, NAMESPACES[0])


@pytest.fixture(scope="session")
def namespace_of(release: Namespace) -> Callable[[str], Namespace]:
    """A served namespace by its last word, so that tests do not see each other's pods."""

    def pick(word: str) -> Namespace:
        return Namespace(release.cluster, f"{NAMESPACES[0]}-{word}")

    return pick


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real documents that nobody here wrote."""
    folder = os.environ.get("RAGOPS_TEST_DATA")
    if not folder:
        pytest.skip("RAGOPS_TEST_DATA names no folder of real documents")
    return Path(folder)
