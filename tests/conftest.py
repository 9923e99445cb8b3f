"""What tests of several folders share: a real API server without nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, control_plane

ROOT = Path(__file__).parents[1]
# Without a provisioner and without a node, so that claims have a class and stay unbound.
STORAGE_CLASS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"""
# Not `condition=Established`: that fails on a definition which has no conditions at all yet.
ESTABLISHED = """--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that mostly wait for a server come first: begun last, one long file would keep one worker busy alone."""
    items.sort(key=lambda item: item.get_closest_marker("api") is None)


@pytest.fixture(scope="session")
def api_server() -> Iterator[Cluster]:
    """etcd, kube-apiserver and kube-controller-manager on loopback, with our CRD."""
    with control_plane(controller_manager=True, audit=True) as server:
        prepare(server)
        yield server


def prepare(server: Cluster) -> None:
    """Our CRD, and a class for volume claims."""
    server.kubectl("apply", "-f", str(ROOT / "crds"))
    server.kubectl("wait", ESTABLISHED, "crd/ragpipelines.ragops.dev", "--timeout=30s")
    server.kubectl("apply", "-f", "-", input=STORAGE_CLASS)
