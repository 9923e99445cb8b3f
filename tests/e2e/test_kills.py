"""The operator killed while it works: the cluster ends as if it had not been."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.installed import Namespace, Object, kill_container, pipeline, wait_for

pytestmark = pytest.mark.e2e
NAME = "survivor"
OPERATOR = "app.kubernetes.io/name=rag-operator"


def test_killed_ten_times_during_a_creation(release: Namespace, namespace_of: Callable[[str], Namespace]) -> None:
    """One set of children, one key, Ready at the end."""
    namespace = namespace_of("kills")
    namespace.apply(pipeline(NAME))
    keys: set[str] = set()
    for _ in range(10):
        pod = running_operator(release)
        kill_container(release, pod)
        # A new pod, for the kubelet would wait longer and longer before it starts this one's container again.
        release.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
        if namespace.get("secret", f"{NAME}-keys"):
            keys.add(namespace.secret(f"{NAME}-keys")["admin"])
    namespace.wait_ready(NAME, seconds=300)
    assert keys | {namespace.secret(f"{NAME}-keys")["admin"]} == {namespace.secret(f"{NAME}-keys")["admin"]}
    children = namespace.list(
        "configmaps,secrets,services,statefulsets,deployments", "app.kubernetes.io/managed-by=rag-operator"
    )
    names = sorted((child["kind"], child["metadata"]["name"]) for child in children)
    assert names == [
        ("ConfigMap", NAME),
        ("Deployment", NAME),
        ("Secret", f"{NAME}-client"),
        ("Secret", f"{NAME}-keys"),
        ("Service", NAME),
        ("Service", f"{NAME}-qdrant"),
        ("Service", f"{NAME}-qdrant-headless"),
        ("StatefulSet", f"{NAME}-qdrant"),
    ]
    namespace.kubectl("delete", "ragpipeline", NAME)
    namespace.kubectl("delete", "pvc", "--all", "--wait=false")


def running_operator(release: Namespace) -> Object:
    """The operator's pod, once its container runs."""

    def running() -> Object | None:
        for pod in release.list("pods", OPERATOR):
            states = [status["state"] for status in pod["status"].get("containerStatuses", [])]
            if any("running" in state for state in states) and "deletionTimestamp" not in pod["metadata"]:
                return pod
        return None

    return wait_for("the operator's container to run", running, seconds=120, every=0.2)
