"""The map of children: what watches, listings and our own answers put into it, and what a status needs of each."""

from __future__ import annotations

from typing import Any

import pytest

from rag_operator import names
from rag_operator.children import Children, to_seen
from rag_operator.desired import common
from rag_operator.names import Key, Ref
from rag_operator.state import ClaimState, PodState, Workload
from tests import builders

KEY = Key("team", "handbook")
REF = Ref(names.CONFIG_MAP, "team", "handbook")


def entry(manager: str = "rag-operator", operation: str = "Apply", **owned: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "time": "2026-11-22T12:00:00Z", "fieldsV1": owned}


def obj(kind: str = "ConfigMap", name: str = "handbook", component: str = "runtime", **parts: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "team",
        "uid": f"uid-{name}",
        "generation": 2,
        "labels": names.labels("handbook", component),
        "ownerReferences": [common.build_owner(builders.app())],
        "managedFields": [entry()],
    }
    return {"kind": kind, "metadata": meta | parts.pop("metadata", {}), **parts}


def test_an_event_says_whose_object_it_was() -> None:
    children = Children()
    assert children.note(obj()) == KEY
    assert [seen.ref for seen in children.of(KEY)] == [REF]
    assert children.note(obj(), gone=True) == KEY
    assert children.of(KEY) == []


def test_an_event_that_tells_nothing_new_calls_for_no_visit() -> None:
    children = Children()
    scaler = obj("HorizontalPodAutoscaler", status={"currentReplicas": 2})
    assert children.note(scaler) == KEY
    assert children.note({**scaler, "status": {"currentReplicas": 3}}) is None
    assert children.note({**scaler, "metadata": {**scaler["metadata"], "managedFields": [entry(a={})]}}) == KEY


def test_an_event_without_news_calls_for_no_visit() -> None:
    """Such as our own write coming back, or another's entry in a label that is not ours."""
    children = Children()
    children.note_answer(obj(), None)
    assert children.note(obj()) is None
    assert children.note(obj(metadata={"managedFields": [entry(), entry("another")]})) is None
    assert children.note(obj(metadata={"managedFields": [entry("another")]})) == KEY


def test_a_child_with_another_pipelines_label_is_still_its_owners() -> None:
    """Whoever edits the label must be found out in seconds, by a visit to the owner."""
    stolen = obj(metadata={"labels": names.labels("stolen", "runtime")})
    assert Children().note(stolen) == KEY


def test_a_listing_takes_out_what_no_watch_said_was_gone() -> None:
    children = Children()
    children.note(obj(name="gone"))
    children.note(obj("Service", name="handbook"))
    assert children.replace(names.CONFIG_MAP, "team", [to_seen(obj())]) == {KEY}
    assert {seen.ref.name for seen in children.of(KEY)} == {"handbook"}
    assert len(children.of(KEY)) == 2
    assert children.replace(names.CONFIG_MAP, "team", [to_seen(obj())]) == set()


def test_a_listing_of_one_namespace_leaves_the_others_alone() -> None:
    children = Children()
    children.note(obj())
    children.replace(names.CONFIG_MAP, "elsewhere", [])
    assert children.get(REF)
    children.replace(names.CONFIG_MAP, None, [])
    assert children.get(REF) is None


def test_an_answer_does_not_overwrite_what_a_watch_brought_meanwhile() -> None:
    children = Children()
    before = children.get(REF)
    children.note(obj(metadata={"uid": "newer"}))
    children.note_answer(obj(metadata={"uid": "older"}), before)
    assert getattr(children.get(REF), "uid", None) == "newer"


@pytest.mark.parametrize(
    ("entries", "same"),
    [
        pytest.param([entry()], True, id="untouched"),
        pytest.param([entry() | {"time": "2027-01-01T00:00:00Z"}], True, id="only the time differs"),
        pytest.param([entry(), entry("kubectl", "Update", a={})], True, id="others own other fields"),
        pytest.param([entry(a={})], False, id="we own other fields"),
        pytest.param([entry("kubectl", "Apply")], False, id="we own nothing"),
        pytest.param([entry(operation="Update")], False, id="ours by another operation"),
        pytest.param([], False, id="nobody owns anything"),
    ],
)
def test_the_fingerprint_changes_when_our_fields_do(entries: list[dict[str, Any]], same: bool) -> None:
    now = to_seen(obj(metadata={"managedFields": entries}))
    assert (now.fields_hash == to_seen(obj()).fields_hash) is same


def test_only_the_controller_counts_as_owner() -> None:
    owners = [{"uid": "a"}, {"uid": "b", "controller": True}]
    assert to_seen(obj(metadata={"ownerReferences": owners})).controller_uid == "b"
    assert to_seen(obj(metadata={"ownerReferences": None})).controller_uid is None


@pytest.mark.parametrize(
    ("status", "workload"),
    [
        pytest.param({}, Workload(wanted=3, settled=False), id="nobody has looked at it"),
        pytest.param({"observedGeneration": 1, "readyReplicas": 3}, Workload(3, settled=False, ready=3), id="older"),
        pytest.param(
            {"observedGeneration": 2, "replicas": 4, "readyReplicas": 3, "updatedReplicas": 1},
            Workload(3, settled=True, replicas=4, ready=3, updated=1),
            id="rolling",
        ),
        pytest.param(
            {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]},
            Workload(3, settled=False, refused="exceeded quota"),
            id="refused",
        ),
    ],
)
def test_a_workload_is_what_its_controller_says(status: dict[str, Any], workload: Workload) -> None:
    assert to_seen(obj("Deployment", spec={"replicas": 3}, status=status)).detail == workload


def pod(state: dict[str, Any] | None = None, **status: Any) -> PodState:
    container = {"state": state or {}, "restartCount": 0, **status.pop("container", {})}
    body = obj("Pod", spec={"containers": [{"image": "rag:1"}]}, status={"containerStatuses": [container], **status})
    detail = to_seen(body).detail
    assert isinstance(detail, PodState)
    return detail


def test_a_pod_says_what_it_waits_for() -> None:
    waiting = pod({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    assert (waiting.waiting, waiting.message, waiting.image) == ("ImagePullBackOff", "no such image", "rag:1")


def test_a_pod_says_how_it_ended() -> None:
    crashed = pod(
        {"waiting": {"reason": "CrashLoopBackOff"}},
        container={"restartCount": 4, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
    )
    assert (crashed.restarts, crashed.exit_code, crashed.out_of_memory) == (4, 137, True)


@pytest.mark.parametrize(("phase", "leaving"), [("Running", False), ("Failed", True), ("Succeeded", True)])
def test_a_pod_that_ended_for_good_is_leaving(phase: str, leaving: bool) -> None:
    """An evicted pod stays in the listing, and explains nothing of the one that replaced it."""
    assert pod(phase=phase).leaving is leaving


def test_a_pod_says_when_its_kubelet_last_had_news() -> None:
    entries = [
        {"manager": "kubelet", "subresource": "status", "time": "2026-11-22T12:05:00Z"},
        {"manager": "kube-scheduler", "subresource": "status", "time": "2026-11-22T12:00:00Z"},
        {"manager": "kubectl-label", "time": "2026-11-22T12:09:00Z"},
    ]
    body = obj("Pod", metadata={"managedFields": entries}, spec={"containers": [{}]})
    assert getattr(to_seen(body).detail, "reported_at", None) == "2026-11-22T12:05:00Z"


def test_a_pod_that_no_node_takes_says_why() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]
    assert pod(conditions=conditions).unschedulable == "0/1 nodes are available"
    assert pod(conditions=[{"type": "PodScheduled", "status": "True"}]).unschedulable is None


def test_a_pod_that_was_just_made_waits_for_nothing_yet() -> None:
    body = obj("Pod", spec={"containers": [{"image": "rag:1"}]})
    assert to_seen(body).detail == PodState(component="runtime", image="rag:1")


def test_a_claim_says_whether_it_is_bound_of_what_class_and_size() -> None:
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}
    body = obj("PersistentVolumeClaim", component="qdrant", spec=spec, status={"phase": "Bound"})
    assert to_seen(body).detail == ClaimState("qdrant", bound=True, storage_class="fast", size="2Gi")
    assert to_seen(obj("PersistentVolumeClaim", component="qdrant", spec={})).detail == ClaimState(
        "qdrant", False, None
    )
