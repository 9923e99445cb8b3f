"""What kopf is told, and which events call for a visit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rag_operator import names, watch
from rag_operator.children import Children
from rag_operator.queue import WorkQueue
from tests import builders


def changed(**meta: Any) -> dict[str, Any]:
    body = builders.body()
    return {**body, "metadata": {**body["metadata"], **meta}}


@pytest.mark.parametrize(
    ("meta", "visits"),
    [
        ({"resourceVersion": "8"}, False),
        ({"managedFields": []}, False),
        ({"generation": 2}, True),
        ({"uid": "another"}, True),
        ({"deletionTimestamp": "2026-11-22T12:00:00Z"}, True),
        ({"annotations": {"ragops.dev/pause-reconciliation": "true"}}, True),
        ({"labels": {"team": "a"}}, True),
    ],
)
def test_a_change_that_a_visit_could_act_on_has_another_signature(meta: dict[str, Any], visits: bool) -> None:
    assert (watch._signature(changed(**meta)) != watch._signature(builders.body())) is visits


def test_pauses_between_tries_never_end_and_can_begin_anew() -> None:
    forever = watch.Forever(cap_seconds=30)
    pauses = list(itertools.islice(forever, 1000))
    assert pauses[0] < 1.3
    assert all(24 <= pause <= 36 for pause in pauses[10:])
    assert next(iter(forever)) < 1.3


def test_kopf_writes_nothing_and_asks_for_little() -> None:
    settings = watch.build_settings()
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    selected = {selector.kind or selector.plural or selector.any_name for selector in settings.watching.label_selectors}
    assert len(selected) == len(names.WATCHED)


def test_no_handler_needs_a_finalizer_or_keeps_progress() -> None:
    registry = watch.build_registry(WorkQueue(), Children(), lambda: pytest.fail("not called"))
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    selectors = [handler.selector for handler in registry._watching.get_all_handlers()]
    watched = {selector.plural or selector.any_name for selector in selectors if selector}
    assert names.SECRET.plural not in watched
    assert len(watched) == len(names.WATCHED) + 1
