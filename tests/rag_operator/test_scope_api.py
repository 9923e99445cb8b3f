"""Which namespaces an operator serves: some, with no ClusterRole at all; or all, with the chart's one."""

from __future__ import annotations

import pytest

from rag_operator import kube
from tests.rag_operator.served import EVERYWHERE, MADE, Served, rules, wait_until

pytestmark = pytest.mark.api


def make(served: Served, namespace: str, name: str) -> None:
    text = f"apiVersion: ragops.dev/v1alpha1\nkind: RagPipeline\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    served.cluster.kubectl("apply", "-f", "-", input=text + "spec: {}\n")


def is_served(served: Served, namespace: str, name: str) -> bool:
    found = served.cluster.kubectl("-n", namespace, "get", "deployment", name, "--ignore-not-found", "-o", "name")
    return bool(found)


def may(served: Served, verb: str, kind: str, namespace: str) -> bool:
    account = f"system:serviceaccount:{served.namespace}:operator"
    answer = served.cluster.kubectl("auth", "can-i", verb, kind, "-n", namespace, f"--as={account}", check=False)
    return answer.strip() == "yes"


def test_with_roles_alone_it_serves_its_namespaces_and_no_other(served: Served) -> None:
    served.cluster.kubectl("create", "namespace", "elsewhere")
    assert not may(served, "get", "secrets", "elsewhere")
    with served.operator("few"):
        make(served, "elsewhere", "unserved")
        make(served, served.namespace, "served")
        wait_until(lambda: is_served(served, served.namespace, "served"))
    assert not is_served(served, "elsewhere", "unserved")


def test_with_a_cluster_role_it_serves_all(served: Served) -> None:
    """And may list Secrets in none of them."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "rag-operator-everywhere"}}
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": served.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rag-operator-everywhere"}
    served.apply(
        {**role, "kind": "ClusterRole", "rules": rules(kube.PERMISSIONS)},
        {**role, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    assert not may(served, "list", "secrets", "elsewhere")
    try:
        with served.operator("all", also=[EVERYWHERE]):
            wait_until(lambda: is_served(served, "elsewhere", "unserved"))
            make(served, "elsewhere", "watched")
            wait_until(lambda: is_served(served, "elsewhere", "watched"))
    finally:
        served.kubectl("delete", "clusterrolebinding,clusterrole", "rag-operator-everywhere")


def test_a_namespace_that_was_deleted_keeps_the_operator_from_no_other(served: Served) -> None:
    """Its Role went with it. The one that is left is served by a new process too, and watched."""
    with served.operator("bereft", also=["gone"]) as operator:
        served.pipeline("left")
        wait_until(lambda: len(served.children("left")) == len(MADE))
        served.kubectl("delete", "service", "left")
        wait_until(lambda: served.get("service", "left"))
        assert any(line.get("namespace") == "gone" for line in operator.said())
