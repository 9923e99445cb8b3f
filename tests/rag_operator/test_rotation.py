"""The pipeline's keys over time: made once, replaced when asked, the old ones admitted for a while."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_operator import rotation
from rag_operator.desired import secrets
from rag_operator.rotation import Keys
from rag_runtime.api.security import KeyRing, parse_file
from tests import builders
from tests.builders import NOW

OVERLAP = 3600.0


def makers() -> Iterator[str]:
    return (f"made-{number}" for number in itertools.count())


def advance(keys: Keys | None, asked: str | None, now: datetime, made: Iterator[str]) -> Keys:
    """One step, from what a Secret with these keys has."""
    kept, annotations = (keys.values, keys.annotations) if keys else ({}, {})
    return rotation.advance(kept, annotations, asked, now, overlap_seconds=OVERLAP, make=lambda: next(made))


def admitted(keys: Keys) -> set[str]:
    return {line.split()[2] for line in lines(keys).splitlines()}


def lines(keys: Keys) -> str:
    body = secrets.build_keys(builders.app(), keys)
    return base64.b64decode(body["data"]["api-keys"]).decode()


def test_they_are_made_once() -> None:
    made = makers()
    first = advance(None, None, NOW, made)
    assert advance(first, None, NOW + timedelta(days=99), made) == first
    assert first.again_seconds is None


def test_a_pipeline_made_with_a_wish_to_rotate_has_new_keys_already() -> None:
    made = makers()
    first = advance(None, "1", NOW, made)
    assert advance(first, "1", NOW, made) == first
    assert len(first.values) == 4


def test_a_rotation_admits_both_then_tells_apps_then_ends_the_old() -> None:
    made = makers()
    old = advance(None, None, NOW, made)
    new = advance(old, "1", NOW, made)
    assert admitted(new) == admitted(old) | {new.values[name] for name in ("admin", "client", "operator")}
    assert (new.client, new.again_seconds) == (old.client, rotation.PROPAGATION_SECONDS)

    told = advance(new, "1", NOW + timedelta(seconds=120), made)
    assert (told.client, told.probe) == (new.values["client"], new.values["operator"])
    assert told.client != old.client
    assert admitted(told) == admitted(new)
    assert told.again_seconds == OVERLAP - 120

    over = advance(told, "1", NOW + timedelta(seconds=OVERLAP), made)
    assert not admitted(over) & admitted(old)
    assert (over.client, over.again_seconds) == (told.client, None)
    assert over.values["qdrant"] == old.values["qdrant"]


def test_a_second_rotation_ends_the_first_key_at_once() -> None:
    made = makers()
    first = advance(None, None, NOW, made)
    third = advance(advance(first, "1", NOW, made), "2", NOW + timedelta(seconds=1), made)
    assert not admitted(third) & admitted(first)


@pytest.mark.parametrize("spoilt", ["", "two words", "line\nroot admin key", "ключ", "\u2028x"])
def test_what_is_no_key_is_replaced_and_never_becomes_a_line(spoilt: str) -> None:
    made = makers()
    first = advance(None, None, NOW, made)
    again = advance(Keys({**first.values, "admin": spoilt}, "", ""), None, NOW, made)
    assert rotation.USABLE.fullmatch(again.values["admin"])
    assert len(parse_file(lines(again))) == 3
    assert again.values["client"] == first.values["client"]


def test_a_wish_that_was_taken_back_changes_nothing() -> None:
    made = makers()
    rotated = advance(advance(None, None, NOW, made), "1", NOW, made)
    assert advance(rotated, None, NOW, made) == rotated


@pytest.mark.parametrize("stamp", ["yesterday", "", "2026-11-22T12:00:00"])
def test_a_stamp_that_somebody_spoilt_ends_the_overlap(stamp: str) -> None:
    made = makers()
    rotated = advance(advance(None, None, NOW, made), "1", NOW, made)
    spoilt = Keys(rotated.values, "", "", {"ragops.dev/rotate-key": "1", "ragops.dev/rotated-at": stamp})
    assert len(admitted(advance(spoilt, "1", NOW, made))) == 3


@given(st.lists(st.tuples(st.sampled_from([None, "1", "2", "3"]), st.integers(0, 5000)), max_size=12))
def test_the_key_that_apps_were_told_is_admitted_for_as_long_as_it_takes_to_tell_them(
    steps: list[tuple[str | None, int]],
) -> None:
    """Whatever is asked and when: the binding's key is among those that the runtime admits."""
    made, now, keys = makers(), NOW, None
    for asked, seconds in steps:
        now += timedelta(seconds=seconds)
        keys = advance(keys, asked, now, made)
        assert {keys.client, keys.probe} <= admitted(keys)
        assert len(parse_file(lines(keys))) in (3, 6)


def test_the_runtime_reads_the_very_file_and_needs_no_restart(tmp_path: Path) -> None:
    """The contract's other side: it swaps the file as a kubelet does, and the ring of keys follows."""
    made, clock = makers(), itertools.count(step=2)
    old = advance(None, None, NOW, made)
    new = advance(old, "1", NOW, made)
    over = advance(new, "1", NOW + timedelta(seconds=OVERLAP), made)
    path = tmp_path / "api-keys"
    path.write_text(lines(old))
    ring = KeyRing(None, path, clock=lambda: next(clock))

    def names(keys: Keys) -> list[str | None]:
        found = [ring.find(keys.values[name].encode()) for name in ("admin", "client", "operator")]
        return [key.name if key else None for key in found]

    assert (names(old), names(new)) == (["admin", "client", "operator"], [None] * 3)
    swap(path, lines(new))
    assert names(old) == ["admin-previous", "client-previous", "operator-previous"]
    assert names(new) == ["admin", "client", "operator"]
    swap(path, lines(over))
    assert (names(old), names(new)) == ([None] * 3, ["admin", "client", "operator"])


def swap(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
