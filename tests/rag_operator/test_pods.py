"""Why pods do not run: the cause that is named, and that it does not change from one second to the next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rag_operator import pods
from rag_operator.state import ClaimState, Observed, PodState, Problem, Reason
from tests import builders
from tests.builders import NOW


def first(*states: PodState, claims: dict[str, ClaimState] | None = None, **fields: Any) -> Problem | None:
    seen = Observed(pods={f"pod-{number}": state for number, state in enumerate(states)}, claims=claims or {})
    return pods.first_problem(builders.app(**fields), seen, "runtime", NOW)


def state(**facts: Any) -> PodState:
    return PodState("runtime", image="rag:1", **facts)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (state(), None),
        (state(ready=True, restarts=9), None),
        (state(waiting="ContainerCreating"), None),
        (state(waiting="ErrImagePull"), Reason.IMAGE_PULL_FAILED),
        (state(waiting="ImagePullBackOff"), Reason.IMAGE_PULL_FAILED),
        (state(waiting="InvalidImageName"), Reason.IMAGE_PULL_FAILED),
        (state(waiting="ImagePullBackOff", leaving=True), None),
        (state(waiting="CrashLoopBackOff", restarts=1), Reason.CRASH_LOOPING),
        (state(restarts=1, exit_code=3), Reason.INDEX_MISMATCH),
        (state(restarts=1, exit_code=2), None),
        (state(restarts=9, exit_code=3, ready=True), None),
        (state(restarts=1), None),
        (state(restarts=2), Reason.CRASH_LOOPING),
        (state(unschedulable="0/1 nodes"), Reason.UNSCHEDULABLE),
        (state(waiting="CreateContainerConfigError", message='secret "x" not found'), Reason.SECRET_NOT_FOUND),
        (state(waiting="CreateContainerConfigError", message="other"), None),
        (state(started=True, running_since=ago(59)), None),
        (state(started=True, running_since=ago(61)), Reason.PROBE_FAILING),
        (state(started=False, running_since=ago(300)), None),
        (state(started=True, running_since=ago(300), reported_at=ago(59)), None),
        (state(started=True, running_since=ago(300), reported_at=ago(61)), Reason.PROBE_FAILING),
        (PodState("qdrant", waiting="ErrImagePull"), None),
    ],
)
def test_a_pods_state_has_a_reason(pod: PodState, reason: Reason | None) -> None:
    problem = first(pod)
    assert (problem.reason if problem else None) == reason


def test_the_two_words_for_a_failed_pull_are_one_message() -> None:
    """A kubelet goes back and forth between them; each change would be a write and an event."""
    assert first(state(waiting="ErrImagePull")) == first(state(waiting="ImagePullBackOff"))


@pytest.mark.parametrize(
    ("component", "field"),
    [("runtime", "spec.resources.limits.memory"), ("qdrant", "spec.vectorStore.managed.resources.limits.memory")],
)
def test_too_little_memory_is_named_with_the_field_to_raise(component: str, field: str) -> None:
    seen = Observed(pods={"pod": PodState(component, restarts=3, exit_code=137, out_of_memory=True)})
    problem = pods.first_problem(builders.app(), seen, component, NOW)
    assert problem is not None
    assert problem.reason == Reason.CRASH_LOOPING
    assert field in problem.message


def test_causes_stand_before_effects() -> None:
    crashing, unschedulable = state(restarts=5), state(unschedulable="0/1 nodes")
    problem = first(crashing, unschedulable)
    assert problem is not None
    assert problem.reason == Reason.UNSCHEDULABLE


def test_a_claim_without_a_class_stands_before_the_pod_that_waits_for_it() -> None:
    claims = {"data": ClaimState("runtime", bound=False, storage_class=None)}
    problem = first(state(unschedulable="unbound claims"), claims=claims)
    assert problem is not None
    assert problem.reason == Reason.NO_STORAGE_CLASS
    assert "data" in problem.message
    bound = {"data": ClaimState("runtime", bound=True, storage_class=None)}
    assert first(claims=bound) is None


def test_the_grace_of_a_probe_follows_its_numbers() -> None:
    fast: dict[str, Any] = {
        "probes": {"readiness": {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 2}}
    }
    assert pods.probe_grace_seconds(builders.app()) == 60
    assert pods.probe_grace_seconds(builders.app(**fast)) == 2


def test_a_message_says_where_to_look() -> None:
    problem = first(state(waiting="CrashLoopBackOff", exit_code=1))
    assert problem is not None
    assert "exit code 1" in problem.message
    assert "kubectl logs -n team pod-0 --previous" in problem.message


def test_the_runtimes_own_last_line_is_quoted() -> None:
    refused = first(state(exit_code=3, last_words="index a__1 belongs to team/b"))
    assert refused
    assert "index a__1 belongs to team/b" in refused.message
    crashed = first(state(restarts=5, exit_code=2, last_words="QDRANT_URL='x' is not allowed"))
    assert crashed
    assert "QDRANT_URL='x' is not allowed" in crashed.message
