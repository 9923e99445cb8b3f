"""Which version is left out where a search finds chunks of two."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from qdrant_client import models

from rag_runtime.adapters.server.whole import search_whole
from rag_runtime.domain import DocumentId, Hit
from tests.stores import chunk

OLD, NEW = (Hit(chunk("d1", version=version), 1.0) for version in ("old", "new"))


async def found(
    newest: Sequence[tuple[str | None, bool]], looks: Sequence[list[Hit]]
) -> tuple[list[Hit], list[object]]:
    """The hits, and what was left out in each look."""
    states, views, asked = iter(newest), iter(looks), []

    async def look(without: Sequence[models.Filter]) -> list[Hit]:
        asked.append([(bool(each.must_not), len(each.must or [])) for each in without])
        return next(views)

    async def state(_: DocumentId) -> tuple[str | None, bool]:
        return next(states)

    return await search_whole(look, state), asked


async def test_hits_of_one_version_cost_one_look() -> None:
    assert await found([], [[OLD]]) == ([OLD], [[]])


async def test_the_old_one_is_left_out_once_all_of_the_new_can_be_found() -> None:
    assert await found([("new", True)], [[OLD, NEW], [NEW]]) == ([NEW], [[], [(True, 1)]])


async def test_half_of_a_new_one_is_looked_at_again() -> None:
    assert await found([("new", False)], [[OLD, NEW], [NEW]]) == ([NEW], [[], []])


@pytest.mark.parametrize("version", [None, "newer still"])
async def test_what_cannot_be_told_is_looked_at_again(version: str | None) -> None:
    assert await found([(version, True)], [[OLD, NEW], [NEW]]) == ([NEW], [[], []])


async def test_a_replacement_that_was_cut_short_leaves_the_old_one_found() -> None:
    hits, asked = await found([("new", False)] * 20, [[OLD, NEW]] * 20 + [[OLD]])
    assert hits == [OLD]
    assert asked[-1] == [(False, 2)]
