"""Events: one for each transition, none for a state that lasts."""

from __future__ import annotations

from rag_operator import events
from rag_operator.events import Transition
from tests import builders
from tests.builders import NOW


def status(**conditions: tuple[str, str]) -> dict[str, object]:
    return {
        "conditions": [
            {"type": type_, "status": value, "reason": reason, "message": f"{type_} {reason}"}
            for type_, (value, reason) in conditions.items()
        ]
    }


STARTING = status(Ready=("False", "Progressing"), Updated=("False", "Progressing"))
DONE = status(Ready=("True", "Reconciled"), Updated=("True", "Reconciled"))
STUCK = status(Ready=("True", "ImagePullFailed"), Updated=("False", "ImagePullFailed"))


def told(old: dict[str, object], new: dict[str, object]) -> list[tuple[str, str]]:
    return [(transition.type, transition.reason) for transition in events.transitions(old, new)]


def test_the_first_visit_is_told() -> None:
    assert told({}, STARTING) == [("Normal", "Created")]


def test_a_first_visit_that_failed_created_nothing() -> None:
    conflict = status(Ready=("False", "NameConflict"), Updated=("False", "NameConflict"))
    assert told({}, conflict) == [("Warning", "NameConflict")]


def test_a_completed_update_is_told_once() -> None:
    assert told(STARTING, DONE) == [("Normal", "Updated")]
    assert told(DONE, DONE) == []


def test_a_cause_is_told_once_however_many_conditions_show_it() -> None:
    assert told(DONE, STUCK) == [("Warning", "ImagePullFailed")]
    assert told(STUCK, STUCK) == []


def test_a_cause_that_comes_back_is_told_again() -> None:
    assert told(STUCK, DONE) == [("Normal", "Updated")]
    assert told(DONE, STUCK) == [("Warning", "ImagePullFailed")]


def test_an_event_is_about_the_pipeline_and_not_too_long() -> None:
    event = events.build_event(builders.body(), Transition("Warning", "Forbidden", "x" * 5000), NOW, "operator-0")
    assert event["regarding"]["uid"] == "uid-of-handbook"
    assert len(event["note"]) <= 1024
    assert event["metadata"]["namespace"] == "team"
