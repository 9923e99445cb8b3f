"""What tests of several folders share: a real API server without nodes."""

from __future__ import annotations

import json
import time
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
ESTABLISHED_SECONDS = 60.0


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
    wait_established(server, "ragpipelines.ragops.dev")
    server.kubectl("apply", "-f", "-", input=STORAGE_CLASS)


def wait_established(server: Cluster, definition: str) -> None:
    """Until the API server serves a custom resource. `kubectl wait` fails on a definition without conditions yet."""
    ends_at = time.monotonic() + ESTABLISHED_SECONDS
    while True:
        body = json.loads(server.kubectl("get", "crd", definition, "-o", "json"))
        conditions = body.get("status", {}).get("conditions") or []
        if any((each["type"], each["status"]) == ("Established", "True") for each in conditions):
            return
        assert time.monotonic() < ends_at, f"{definition} is not served: {conditions}"
        time.sleep(0.1)
