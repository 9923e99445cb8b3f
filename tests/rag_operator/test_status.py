"""Conditions: what is judged of what was observed, and that nothing is said that does not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_operator import status
from rag_operator.spec import RagPipeline
from rag_operator.state import Observed, PodState, Probed, Problem, Reason, Status, Workload
from rag_operator.status import Facts
from tests import builders
from tests.builders import EMBEDDED, EXTERNAL, NOW

SERVING = Workload(wanted=1, settled=True, replicas=1, ready=1, updated=1)
STARTING = Workload(wanted=1, settled=True, replicas=1, ready=0, updated=1)
ROLLING = Workload(wanted=1, settled=True, replicas=2, ready=1, updated=1)
UNSEEN = Workload(wanted=1, settled=False)
NO_IMAGE = PodState("runtime", image="rag:typo", waiting="ImagePullBackOff")
MISSING = Problem(Reason.SECRET_NOT_FOUND, "there is no Secret")
REFUSED = Problem(Reason.FORBIDDEN, "not allowed")
QUOTA = Problem(Reason.QUOTA_EXCEEDED, "exceeded quota")


def judge(app: RagPipeline | None = None, old: dict[str, Any] | None = None, **facts: Any) -> Status:
    observed = Observed(**{name: facts.pop(name) for name in ("runtime", "qdrant", "pods", "claims") if name in facts})
    return status.evaluate(app or builders.app(), Facts(seen=observed, now=NOW, **facts), old or {}, "1.2.3")


def told(judged: Status, type_: str = "Ready") -> tuple[str, str]:
    (condition,) = (condition for condition in judged.conditions if condition.type == type_)
    return condition.status, condition.reason


def message(judged: Status, type_: str = "Ready") -> str:
    (condition,) = (condition for condition in judged.conditions if condition.type == type_)
    return condition.message


@pytest.mark.parametrize(
    ("facts", "ready", "updated"),
    [
        pytest.param({}, ("False", "Progressing"), ("False", "Progressing"), id="nothing exists yet"),
        pytest.param(
            {"runtime": SERVING, "qdrant": SERVING}, ("True", "Reconciled"), ("True", "Reconciled"), id="all is well"
        ),
        pytest.param(
            {"runtime": STARTING, "qdrant": STARTING}, ("False", "Progressing"), ("False", "Progressing"), id="starting"
        ),
        pytest.param(
            {"runtime": SERVING, "qdrant": STARTING, "store_was_ready": True},
            ("False", "VectorStoreUnavailable"),
            ("False", "Progressing"),
            id="the store is lost",
        ),
        pytest.param(
            {"runtime": STARTING, "qdrant": SERVING, "pods": {"p": NO_IMAGE}},
            ("False", "ImagePullFailed"),
            ("False", "ImagePullFailed"),
            id="a bad image from the start",
        ),
        pytest.param(
            {"runtime": ROLLING, "qdrant": SERVING, "pods": {"p": NO_IMAGE}},
            ("True", "ImagePullFailed"),
            ("False", "ImagePullFailed"),
            id="a bad image while old pods serve",
        ),
        pytest.param(
            {"runtime": SERVING, "qdrant": SERVING, "missing": MISSING},
            ("False", "SecretNotFound"),
            ("False", "SecretNotFound"),
            id="a Secret is gone",
        ),
        pytest.param(
            {"runtime": SERVING, "qdrant": SERVING, "refused": REFUSED},
            ("False", "Forbidden"),
            ("False", "Forbidden"),
            id="not allowed",
        ),
        pytest.param(
            {"runtime": SERVING, "qdrant": SERVING, "refused": QUOTA},
            ("True", "QuotaExceeded"),
            ("False", "QuotaExceeded"),
            id="a quota stops an update, not the service",
        ),
        pytest.param(
            {"refused": QUOTA}, ("False", "QuotaExceeded"), ("False", "QuotaExceeded"), id="a quota stops all"
        ),
        pytest.param(
            {"runtime": STARTING, "qdrant": SERVING, "was_ready": True},
            ("False", "NotEnoughReplicas"),
            ("False", "Progressing"),
            id="a pod that served is lost",
        ),
        pytest.param(
            {"runtime": STARTING, "qdrant": SERVING, "was_ready": True, "was_updated": True},
            ("False", "NotEnoughReplicas"),
            ("True", "Reconciled"),
            id="a lost pod makes the roll-out no less complete",
        ),
        pytest.param(
            {"runtime": UNSEEN, "qdrant": SERVING},
            ("False", "Progressing"),
            ("False", "Progressing"),
            id="no controller has looked yet",
        ),
    ],
)
def test_ready_and_updated(facts: dict[str, Any], ready: tuple[str, str], updated: tuple[str, str]) -> None:
    judged = judge(**facts)
    assert (told(judged), told(judged, "Updated")) == (ready, updated)


def test_old_pods_that_serve_are_ready_and_the_line_says_what_is_wrong() -> None:
    line = message(judge(runtime=ROLLING, qdrant=SERVING, pods={"p": NO_IMAGE}))
    assert line.startswith("1 of 1 runtime pods are ready; not yet as declared: ")
    assert "rag:typo" in line


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (ROLLING, "0 of 1 runtime pods are ready as declared"),
        (Workload(wanted=1, settled=True, replicas=2, ready=2, updated=1), "1 runtime pods of before are still there"),
        (UNSEEN, "0 of 1 runtime pods are ready as declared"),
    ],
)
def test_an_old_pod_is_not_counted_for_a_new_one(runtime: Workload, words: str) -> None:
    judged = judge(builders.app(), runtime=runtime, qdrant=SERVING)
    (updated,) = (condition for condition in judged.conditions if condition.type == "Updated")
    assert words in updated.message


@pytest.mark.parametrize(
    ("ready", "ready_reason", "updated_reason"),
    [
        pytest.param(5, "Reconciled", "Reconciled", id="all that the autoscaler wants"),
        pytest.param(2, "Progressing", "Progressing", id="as few as may be, and serving"),
        pytest.param(1, "NotEnoughReplicas", "Progressing", id="too few"),
    ],
)
def test_with_an_autoscaler_its_number_is_the_one_that_is_judged(
    ready: int, ready_reason: str, updated_reason: str
) -> None:
    app = builders.app(autoscaling={"minReplicas": 2, "maxReplicas": 9})
    scaled = Workload(wanted=5, settled=True, replicas=5, ready=ready, updated=5)
    judged = judge(app, runtime=scaled, qdrant=SERVING)
    assert told(judged)[1] == ready_reason
    assert told(judged, "Updated")[1] == updated_reason


def test_a_quota_that_a_deployment_ran_into_is_named() -> None:
    refused = replace(STARTING, refused='pods "x" is forbidden: exceeded quota: small')
    assert told(judge(runtime=refused, qdrant=SERVING), "RuntimeReady") == ("False", "QuotaExceeded")


@pytest.mark.parametrize("fields", [EXTERNAL, EMBEDDED])
def test_a_store_that_is_not_ours_to_run_is_known_by_the_runtime_alone(fields: dict[str, Any]) -> None:
    app = builders.app(**fields)
    assert told(judge(app, runtime=STARTING), "VectorStoreReady") == ("Unknown", "Progressing")
    assert told(judge(app, runtime=SERVING), "VectorStoreReady") == ("True", "Reconciled")
    assert told(judge(app, runtime=SERVING)) == ("True", "Reconciled")


def test_the_status_says_where_what_and_how_many() -> None:
    judged = judge(runtime=ROLLING, qdrant=SERVING)
    assert (judged.url, judged.image, judged.model) == (
        "http://handbook.team.svc",
        "ragops/rag-runtime:1.2.3",
        "bundled",
    )
    assert (judged.replicas, judged.ready_replicas, judged.observed_generation) == (2, 1, 1)
    assert judged.selector == "app.kubernetes.io/instance=handbook,app.kubernetes.io/component=runtime"
    assert judged.binding is not None
    assert judged.binding.name == "handbook-client"


ALL = ("Ready", "VectorStoreReady", "RuntimeReady", "Answering", "Updated")
GOOD: dict[str, Any] = {"runtime": SERVING, "qdrant": SERVING, "asking": True}
AT_STORE = Problem(Reason.VECTOR_STORE_UNAVAILABLE, "a question fails at database: no route")
FULL = "less than 128 MB are free"


def test_a_question_that_fails_is_not_ready_whatever_the_pods_say() -> None:
    judged = judge(probed=Probed(failing=AT_STORE), **GOOD)
    assert told(judged, "Answering") == told(judged) == ("False", "VectorStoreUnavailable")
    assert told(judged, "RuntimeReady") == ("True", "Reconciled")


@pytest.mark.parametrize("probed", [None, Probed(unreached="no route")])
def test_what_could_not_be_asked_is_unknown_and_no_fault(probed: Probed | None) -> None:
    judged = judge(probed=probed, **GOOD)
    assert told(judged, "Answering") == ("Unknown", "ProbeUnreachable")
    assert told(judged) == ("True", "Reconciled")


def test_a_disk_that_is_nearly_full_is_said_while_questions_are_answered() -> None:
    judged = judge(probed=Probed(disk=FULL), **GOOD)
    assert told(judged) == told(judged, "VectorStoreReady") == ("True", "DiskNearlyFull")
    assert told(judged, "Answering") == ("True", "Reconciled")
    assert FULL in message(judged)


def test_a_store_that_is_down_is_not_said_to_be_up_because_its_disk_is_full() -> None:
    judged = judge(runtime=SERVING, qdrant=STARTING, probed=Probed(disk=FULL))
    assert told(judged, "VectorStoreReady") == ("False", "Progressing")


def test_points_are_kept_while_nobody_can_count() -> None:
    first = judge(probed=Probed(points=41), **GOOD)
    assert judge(old=dumped(first), probed=Probed(unreached="x"), **GOOD).points == 41
    assert judge(old=dumped(first), probed=Probed(points=0), **GOOD).points == 0


def test_suspended_nothing_serves_and_the_spec_is_rolled_out() -> None:
    gone = Workload(wanted=0, settled=True)
    judged = judge(builders.app(suspend=True), runtime=gone, qdrant=gone)
    assert {told(judged, type_) for type_ in ALL[:4]} == {("False", "Suspended")}
    assert told(judged, "Updated") == ("True", "Reconciled")


def test_paused_it_is_said_and_the_rest_is_told_as_it_is() -> None:
    judged = judge(paused=True, **GOOD)
    assert told(judged, "ReconciliationPaused") == ("True", "Paused")
    assert told(judged) == ("True", "Paused")
    assert told(judge(paused=True, runtime=STARTING, qdrant=SERVING, was_ready=True)) == ("False", "NotEnoughReplicas")
    assert "ReconciliationPaused" not in {condition.type for condition in judge(**GOOD).conditions}


def test_a_spec_that_changed_during_a_pause_is_not_said_to_run() -> None:
    old = dumped(judge(paused=True, **GOOD))
    recalled = status.recall(Observed(runtime=SERVING, qdrant=SERVING), NOW, old, 2)
    assert recalled.stale
    new = status.evaluate(builders.app(image="other:1"), replace(recalled, paused=True), old, "1.2.3")
    assert told(new, "Updated") == ("False", "Paused")
    assert status.as_before_the_pause(new, old).image == "ragops/rag-runtime:1.2.3"
    again = status.recall(Observed(runtime=SERVING, qdrant=SERVING), NOW, dumped(new), 2)
    assert again.stale


def dumped(judged: Status) -> dict[str, Any]:
    return judged.model_dump(mode="json", by_alias=True, exclude_none=True)


def times(judged: Status) -> dict[str, str]:
    return {condition.type: condition.last_transition_time for condition in judged.conditions}


def test_a_transition_time_moves_only_when_the_status_does() -> None:
    first = judge(runtime=STARTING, qdrant=SERVING)
    later = Facts(seen=Observed(runtime=ROLLING, qdrant=SERVING), now=NOW + timedelta(hours=1))
    second = status.evaluate(builders.app(), later, dumped(first), "1.2.3")
    moved = {type_ for type_, moment in times(second).items() if moment != times(first)[type_]}
    assert moved == {"Ready", "RuntimeReady", "Answering"}


def test_judging_twice_says_the_same() -> None:
    first = dumped(judge(runtime=SERVING, qdrant=SERVING))
    later = Facts(seen=Observed(runtime=SERVING, qdrant=SERVING), now=NOW + timedelta(hours=1))
    assert dumped(status.evaluate(builders.app(), later, first, "1.2.3")) == first


def test_a_pipeline_that_is_not_worked_on_keeps_what_was_known() -> None:
    old = dumped(judge(runtime=SERVING, qdrant=SERVING))
    halted = status.halted(Problem(Reason.INVALID_SPEC, "spec.replicas is 'many'"), old, 2, NOW)
    assert told(halted) == told(halted, "Updated") == ("False", "InvalidSpec")
    assert told(halted, "RuntimeReady") == ("True", "Reconciled")
    assert (halted.url, halted.observed_generation) == ("http://handbook.team.svc", 2)


def test_the_first_visit_may_be_to_a_pipeline_that_cannot_be_worked_on() -> None:
    assert told(status.halted(Problem(Reason.INVALID_SPEC, "bad"), {}, 1, NOW)) == ("False", "InvalidSpec")


@pytest.mark.parametrize(
    ("old_status", "reason", "was_ready"),
    [("True", "Reconciled", True), ("False", "NotEnoughReplicas", True), ("False", "Progressing", False)],
)
def test_what_once_served_is_remembered_by_its_reason(old_status: str, reason: str, was_ready: bool) -> None:
    old = {"conditions": [{"type": "RuntimeReady", "status": old_status, "reason": reason}]}
    assert status.recall(Observed(), NOW, old, 1).was_ready is was_ready


def test_a_complete_roll_out_is_remembered_for_its_generation_only() -> None:
    old = dumped(judge(runtime=SERVING, qdrant=SERVING))
    assert status.recall(Observed(), NOW, old, 1).was_updated
    assert not status.recall(Observed(), NOW, old, 2).was_updated


counts = st.integers(0, 4)
workloads = st.none() | st.builds(
    Workload, wanted=counts, settled=st.booleans(), replicas=counts, ready=counts, updated=counts
)


@given(workloads, workloads, st.booleans(), st.booleans(), st.sampled_from([None, MISSING, REFUSED]))
def test_ready_is_never_said_of_too_few_pods(
    runtime: Workload | None, qdrant: Workload | None, was_ready: bool, was_updated: bool, refused: Problem | None
) -> None:
    app = builders.app(replicas=2)
    judged = judge(app, runtime=runtime, qdrant=qdrant, was_ready=was_ready, was_updated=was_updated, refused=refused)
    enough = runtime is not None and runtime.ready >= 2 and qdrant is not None and qdrant.ready >= 1
    assert (told(judged)[0] == "True") == (enough and refused is None)
    assert all(condition.message and "\n" not in condition.message for condition in judged.conditions)
    assert {condition.reason for condition in judged.conditions} <= {reason.value for reason in Reason}
