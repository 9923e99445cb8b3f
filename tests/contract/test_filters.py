"""Filters mean the same in both stores, and what a document's own values say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rag_runtime.adapters.payload import MOST_RANGES
from rag_runtime.domain import (
    AllOf,
    AnyOf,
    Chunk,
    DocumentId,
    EmbeddedChunk,
    Exists,
    Filter,
    Metadata,
    NoneOf,
    OneOf,
    Within,
)
from rag_runtime.ports import ChunkStore
from rag_runtime.testing import passes
from tests.stores import Opener, embedded, query

NOON = datetime(2024, 6, 30, 12, tzinfo=UTC)
# Each is one document; keys and values that a path, a type or a collation could trip over among them.
SENT: tuple[Metadata, ...] = (
    {"team": "ops", "year": 2024, "draft": False, "tags": ("a", "b")},
    {"team": "Ops", "year": 2024.5, "draft": True, "tags": ("b",)},
    {"team": "dev", "year": -3, "draft": 1, "when": "2024-06-30"},
    {"team": "", "year": "2024", "when": "2024-06-30T14:00:00+02:00", "tags": ()},
    {"a.b": "x", 'quoted "key" []': "y", "team": "ops\x00dev", "when": "2024-07-01T00:00:00.000001Z"},
    {"team": "true", "draft": "true", "größe": 1e300, "long": "w" * 4000},
    {"long": "w" * 3999 + "v", "year": 2**62, "when": "2024-13-01"},
    {},
)


def chunk_of(number: int, metadata: Metadata) -> EmbeddedChunk:
    (made,) = embedded(f"d{number}")
    format_ = "csv" if number % 2 else "pdf"
    return replace(made, chunk=replace(made.chunk, metadata=metadata, format=format_))


async def stored(store: ChunkStore, sent: Sequence[Metadata] = SENT) -> list[Chunk]:
    chunks = [chunk_of(number, metadata) for number, metadata in enumerate(sent)]
    await store.stage(chunks)
    for each in chunks:
        await store.publish(each.chunk.document_id, "v1")
    return [each.chunk for each in chunks]


async def found(store: ChunkStore, filter_: Filter) -> list[str]:
    hits = await store.search(replace(query(), filter=filter_))
    return sorted(hit.chunk.document_id for hit in hits)


@pytest.mark.parametrize(
    ("filter_", "documents"),
    [
        (OneOf("metadata.team", ("ops",)), "d0"),
        (OneOf("metadata.team", ("ops", "dev", "nobody")), "d0 d2"),
        (OneOf("metadata.team", ("",)), "d3"),
        (OneOf("metadata.tags", ("b",)), "d0 d1"),
        (OneOf("metadata.draft", (True,)), "d1"),
        (OneOf("metadata.draft", (1,)), "d2"),
        (OneOf("metadata.draft", ("true",)), "d5"),
        (OneOf("metadata.year", (2024,)), "d0"),
        (OneOf("metadata.year", (2024.0,)), "d0"),
        (OneOf("metadata.year", ("2024",)), "d3"),
        (OneOf("metadata.a.b", ("x",)), "d4"),
        (OneOf('metadata.quoted "key" []', ("y",)), "d4"),
        (OneOf("metadata.long", ("w" * 4000,)), "d5"),
        (OneOf("document_id", ("d1", "d7")), "d1 d7"),
        (OneOf("source", ("d3.csv",)), "d3"),
        (OneOf("format", ("pdf",)), "d0 d2 d4 d6"),
        (Within("metadata.year", gte=2024), "d0 d1 d6"),
        (Within("metadata.year", gt=2024, lt=2025), "d1"),
        (Within("metadata.year", lte=-3), "d2"),
        (Within("metadata.größe", gt=1e299), "d5"),
        (Within("metadata.when", gte=NOON), "d3 d4"),
        (Within("metadata.when", lt=NOON), "d2"),
        (Within("metadata.when", gt=NOON, lte=datetime(2024, 7, 1, tzinfo=UTC)), ""),
        (Exists("metadata.tags"), "d0 d1 d3"),
        (Exists("metadata.nothing"), ""),
        (NoneOf((Exists("metadata.team"),)), "d6 d7"),
        (AllOf((OneOf("format", ("csv",)), Exists("metadata.year"))), "d1 d3"),
        (AnyOf((OneOf("metadata.team", ("dev",)), OneOf("document_id", ("d0",)))), "d0 d2"),
        (AllOf((NoneOf((AnyOf((Exists("metadata.when"), Exists("metadata.tags"))),)), Exists("metadata.team"))), "d5"),
    ],
)
async def test_a_filter_lets_through_what_it_says(store: ChunkStore, filter_: Filter, documents: str) -> None:
    await stored(store)
    assert await found(store, filter_) == documents.split()


async def test_any_filter_lets_through_what_the_documents_own_values_say(store: ChunkStore) -> None:
    chunks = await stored(store)
    chance = random.Random(20)
    for _ in range(200):
        filter_ = some_filter(chance)
        expected = sorted(chunk.document_id for chunk in chunks if passes(chunk, filter_))
        assert await found(store, filter_) == expected, filter_


def some_filter(chance: random.Random, depth: int = 3) -> Filter:
    kind = chance.randrange(6 if depth else 3)
    field = "metadata." + chance.choice(["team", "year", "draft", "tags", "when", "a.b"])
    if kind == 0:
        return OneOf(field, tuple(chance.choices(["ops", "a", 2024, 1, True, False, "true", "2024-06-30"], k=2)))
    if kind == 1:
        low = chance.choice([-3, 2024, NOON, NOON - timedelta(days=1)])
        return Within(field, **{chance.choice(["gt", "gte", "lt", "lte"]): low})
    if kind == 2:
        return Exists(field)
    parts = tuple(some_filter(chance, depth - 1) for _ in range(chance.randint(1, 3)))
    return (AllOf, AnyOf, NoneOf)[kind - 3](parts)


async def test_the_filter_holds_in_each_stage_and_before_the_candidates_are_cut(store: ChunkStore) -> None:
    await stored(store)
    only = replace(query(), filter=OneOf("document_id", ("d5",)), candidates=1, explain=True)
    (hit,) = await store.search(only)
    assert {name: stage.rank for name, stage in hit.explain.items()} == {"dense": 1, "sparse": 1}


async def test_late_interaction_ranks_only_what_passes(late_store: ChunkStore) -> None:
    chunks = [replace(each, chunk=replace(each.chunk, format="md")) for each in embedded("d2", count=3, late=True)]
    await late_store.stage([*embedded("d1", count=3, late=True), *chunks])
    for document in ("d1", "d2"):
        await late_store.publish(DocumentId(document), "v1")
    hits = await late_store.search(replace(query(late=True), filter=OneOf("format", ("md",))))
    assert [hit.chunk.document_id for hit in hits] == ["d2"] * 3


async def test_more_keys_than_get_an_index_are_filtered_all_the_same(make: Opener) -> None:
    store = make()
    await store.open()
    await stored(store, [{f"n{number}": number for number in range(first, first + 40)} for first in (0, 40)])
    assert await found(store, Within(f"metadata.n{MOST_RANGES + 5}", gt=1)) == ["d1"]
    assert await found(store, Within("metadata.n5", gt=1)) == ["d0"]
    await store.close()


async def test_metadata_comes_back_as_it_was_sent(store: ChunkStore) -> None:
    await stored(store)
    hits = await store.search(query())
    assert {hit.chunk.document_id: hit.chunk.metadata for hit in hits} == {f"d{n}": m for n, m in enumerate(SENT)}
