"""What stands in the operator's way is said in a reason of its own, and goes when its cause goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rag_operator import kube
from tests.cluster import ClusterError
from tests.rag_operator.served import MADE, Operator, Served, grant, wait_until

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("operator")]


def secret(served: Served, name: str, **values: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": served.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values}


GEMINI = {"apiKeySecretRef": {"name": "gemini", "key": "api-key"}}


def test_a_missing_secret_is_named_and_its_arrival_noticed(served: Served) -> None:
    served.pipeline("asking", generation=GEMINI)
    served.wait_for("asking", "SecretsResolved", "False", "SecretNotFound")
    served.wait_for("asking", "Ready", "False", "SecretNotFound")
    assert '"gemini"' in served.message("asking")
    assert served.get("statefulset", "asking-qdrant")
    assert served.get("deployment", "asking") is None
    served.apply(secret(served, "gemini", other="x"))
    served.wait_for("asking", "SecretsResolved", "False", "SecretKeyMissing")
    served.apply(secret(served, "gemini", **{"api-key": "first"}))
    served.wait_for("asking", "SecretsResolved", "True", "Reconciled")
    assert wait_until(lambda: served.get("deployment", "asking"))


def test_a_changed_secret_replaces_the_pods(served: Served) -> None:
    def config_hash() -> str:
        deployment = served.get("deployment", "asking")
        assert deployment
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["ragops.dev/config-hash"])

    before = config_hash()
    served.apply(secret(served, "gemini", **{"api-key": "second"}))
    wait_until(lambda: config_hash() != before)


def test_a_token_of_a_service_account_is_not_taken_for_a_key(served: Served) -> None:
    meta = {
        "name": "token",
        "namespace": served.namespace,
        "annotations": {"kubernetes.io/service-account.name": "operator"},
    }
    kind = "kubernetes.io/service-account-token"
    served.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": kind})
    served.pipeline("curious", generation={"apiKeySecretRef": {"name": "token", "key": "token"}})
    served.wait_for("curious", "SecretsResolved", "False", "SecretKeyMissing")
    assert served.get("deployment", "curious") is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("configmap", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"mine": "yes"}}),
        ("secret", {"apiVersion": "v1", "kind": "Secret", "stringData": {"mine": "yes"}}),
    ],
)
def test_a_foreign_object_is_left_alone(served: Served, kind: str, body: dict[str, Any]) -> None:
    """Nothing is made beside it; and when it is gone the pipeline goes on by itself."""
    name = f"taken-{kind}"
    foreign = name if kind == "configmap" else f"{name}-keys"
    served.apply({**body, "metadata": {"name": foreign, "namespace": served.namespace}})
    served.pipeline(name)
    served.wait_for(name, "Ready", "False", "NameConflict")
    assert foreign in served.message(name)
    assert f"kubectl delete {kind}" in served.message(name)
    assert served.children(name) == {}
    found = served.get(kind, foreign)
    assert found
    assert "mine" in found["data"]
    served.kubectl("delete", kind, foreign)
    wait_until(lambda: len(served.children(name)) == len(MADE))


def test_a_child_of_another_pipeline_is_not_taken_over(served: Served) -> None:
    """`a` with a store makes `a-qdrant`, and a pipeline may be called that too."""
    served.pipeline("a")
    wait_until(lambda: served.get("service", "a-qdrant"))
    served.pipeline("a-qdrant")
    served.wait_for("a-qdrant", "Ready", "False", "NameConflict")
    service = served.get("service", "a-qdrant")
    assert service
    assert service["metadata"]["labels"]["app.kubernetes.io/instance"] == "a"


def test_a_secret_that_may_not_be_read_is_told(served: Served) -> None:
    grant(served, {key: verbs for key, verbs in kube.PERMISSIONS.items() if key[1] != "secrets"})
    served.pipeline("blind")
    served.wait_for("blind", "Ready", "False", "Forbidden")
    assert "secrets" in served.message("blind")
    grant(served, kube.PERMISSIONS)
    served.wait_for("blind", "Ready", "False", "Progressing")


def test_a_rule_of_the_cluster_is_not_taken_for_a_missing_right(served: Served) -> None:
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "no-stateful-sets"}}
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.metadata.name != 'ruled-qdrant'", "message": "x" * 5000}],
    }
    binding = {"policyName": "no-stateful-sets", "validationActions": ["Deny"]}
    served.apply(
        {**policy, "kind": "ValidatingAdmissionPolicy", "spec": spec},
        {**policy, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding},
    )
    try:
        wait_until(lambda: "denied" in dry_run(served), what="the policy to hold")
        served.pipeline("ruled")
        served.wait_for("ruled", "Updated", "False", "InvalidSpec")
        assert "service account" not in served.message("ruled", "Updated")
        assert len(served.message("ruled", "Updated")) < 1500
    finally:
        served.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "no-stateful-sets")


def dry_run(served: Served) -> str:
    meta = {"name": "ruled-qdrant", "namespace": served.namespace}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"serviceName": "a", "selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec}
    try:
        return served.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(body))
    except ClusterError as refused:
        return str(refused)


def test_what_an_earlier_pipeline_of_the_name_left_is_waited_for(served: Served) -> None:
    """Nobody is told to delete what Kubernetes is about to; and when it is gone the pipeline is made."""
    meta = {"name": "again", "namespace": served.namespace}
    owner = {"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "name": "again", "uid": "long-gone"}
    # Held back as a slow garbage collector would.
    left = meta | {"ownerReferences": [owner | {"controller": True}], "finalizers": ["example.com/slow"]}
    served.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": left})
    served.pipeline("again")
    served.wait_for("again", "Ready", "False", "Progressing")
    assert "of an earlier pipeline again is still being removed" in served.message("again")
    served.patch("configmap", "again", {"metadata": {"finalizers": None}})
    wait_until(lambda: len(served.children("again")) == len(MADE))


def test_a_quota_is_named(served: Served) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": served.namespace}}
    served.apply({**quota, "spec": {"hard": {"count/statefulsets.apps": "0"}}})
    wait_until(lambda: (served.get("resourcequota", "none") or {}).get("status", {}).get("hard"))
    served.pipeline("big")
    served.wait_for("big", "Ready", "False", "QuotaExceeded")
    served.kubectl("delete", "resourcequota", "none")
    wait_until(lambda: served.get("statefulset", "big-qdrant"))


def test_a_right_that_is_missing_is_named(served: Served) -> None:
    less = {
        key: verbs - {"create", "patch"} if key[1] == "statefulsets" else verbs
        for key, verbs in kube.PERMISSIONS.items()
    }
    grant(served, less)
    served.pipeline("rightless")
    served.wait_for("rightless", "Ready", "False", "Forbidden")
    assert "statefulsets" in served.message("rightless")
    assert served.get("deployment", "rightless")
    grant(served, kube.PERMISSIONS)
    wait_until(lambda: served.get("statefulset", "rightless-qdrant"))


def test_a_cluster_without_a_default_class_is_named(served: Served) -> None:
    default = "storageclass.kubernetes.io/is-default-class"
    served.kubectl("annotate", "storageclass", "standard", f"{default}=false", "--overwrite")
    try:
        served.pipeline("homeless")
        served.wait_for("homeless", "VectorStoreReady", "False", "NoStorageClass")
        assert "qdrant-storage-homeless-qdrant-0" in served.message("homeless")
    finally:
        served.kubectl("annotate", "storageclass", "standard", f"{default}=true", "--overwrite")
    served.wait_for("homeless", "VectorStoreReady", "False", "Progressing")


Report = Callable[[Served, dict[str, Any]], None]


def crash(served: Served, pod: dict[str, Any]) -> None:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    served.play_kubelet(pod, ready=False, state=state, lastState=last, restartCount=5)


def unschedulable(served: Served, pod: dict[str, Any]) -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes: no memory",
    }
    served.patch("pod", pod["metadata"]["name"], {"status": {"conditions": [condition]}}, "--subresource=status")


def unready(served: Served, pod: dict[str, Any]) -> None:
    served.play_kubelet(pod, ready=False, started=True)


@pytest.mark.parametrize(
    ("name", "report", "reason", "words"),
    [
        ("crashing", crash, "CrashLooping", "exit code 1"),
        ("crowded", unschedulable, "Unschedulable", "no memory"),
        ("unready", unready, "ProbeFailing", "runs but is not ready"),
    ],
)
def test_what_a_kubelet_or_scheduler_reports_is_named(
    served: Served, name: str, report: Report, reason: str, words: str
) -> None:
    served.pipeline(name, probes={"readiness": {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 3}})
    for pod in wait_until(lambda: served.pods(name, "qdrant")):
        served.play_kubelet(pod, ready=True, started=True)
    for pod in wait_until(lambda: served.pods(name, "runtime")):
        report(served, pod)
    served.wait_for(name, "RuntimeReady", "False", reason)
    served.wait_for(name, "Ready", "False", reason)
    assert words in served.message(name)
    served.make_ready(name)


def test_a_store_that_is_lost_is_named_before_the_runtime(served: Served) -> None:
    """The runtime's readiness fails too, as an effect."""
    served.pipeline("lost")
    wait_until(lambda: served.pods("lost", "runtime"))
    served.make_ready("lost")
    for component in ("runtime", "qdrant"):
        for pod in served.pods("lost", component):
            served.play_kubelet(pod, ready=False)
    served.wait_for("lost", "Ready", "False", "VectorStoreUnavailable")
    served.wait_for("lost", "RuntimeReady", "False", "NotEnoughReplicas")
    served.make_ready("lost")


def test_the_operator_never_had_a_defect(served: Served, operator: Operator) -> None:
    assert [line for line in operator.said() if line["level"] == "error"] == []
