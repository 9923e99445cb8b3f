import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.adapters import payload
from rag_runtime.adapters.payload import Scored
from rag_runtime.domain import Passage, StageRank
from tests.stores import chunk, document, job


def test_a_chunk_survives_json() -> None:
    stored = json.loads(json.dumps(payload.from_chunk(chunk())))
    assert payload.to_chunk(chunk().id, stored) == chunk()


def test_a_document_survives_json_without_its_passages() -> None:
    stored = json.loads(json.dumps(payload.from_document(document())))
    assert payload.to_document(stored, document().passages) == document()


@pytest.mark.parametrize("done", [True, False])
def test_a_job_survives_json(done: bool) -> None:
    stored = json.loads(json.dumps(payload.from_job(job(done=done))))
    assert payload.to_job(stored) == job(done=done)


def test_only_an_unfinished_job_is_open() -> None:
    assert payload.from_job(job())["open"] is True
    assert payload.from_job(job(done=True))["open"] is False


@given(st.lists(st.builds(Passage, st.text(), st.none() | st.integers(1, 10**6))))
def test_passages_come_back_character_by_character(passages: list[Passage]) -> None:
    assert payload.to_passages(payload.from_passages(passages)) == tuple(passages)


@given(st.text(), st.integers(1, 7))
def test_parts_are_small_and_make_the_whole(text: str, size: int) -> None:
    pieces = list(payload.parts(text, size))
    assert "".join(pieces) == text
    assert all(len(piece) <= size for piece in pieces)
    assert pieces


def found(id_: str, score: float) -> Scored:
    return Scored(id_, score, payload.from_chunk(chunk()))


def test_hits_keep_the_fused_order_and_score() -> None:
    hits = payload.to_hits({"fused": [found("b", 0.5), found("a", 0.25)]}, top_k=10, explain=False)
    assert [(hit.chunk.id, hit.score, dict(hit.explain)) for hit in hits] == [("b", 0.5, {}), ("a", 0.25, {})]


def test_late_interaction_orders_but_does_not_score() -> None:
    stages = {"fused": [found("b", 0.5), found("a", 0.25)], "late": [found("a", 9.0), found("b", 8.0)]}
    hits = payload.to_hits(stages, top_k=10, explain=True)
    assert [(hit.chunk.id, hit.score) for hit in hits] == [("a", 0.25), ("b", 0.5)]
    assert hits[0].explain["late"] == StageRank(1, 9.0)


def test_a_hit_is_explained_by_the_stages_that_found_it() -> None:
    stages = {"fused": [found("a", 0.5)], "dense": [found("x", 0.9), found("a", 0.8)], "sparse": [found("x", 3.0)]}
    (hit,) = payload.to_hits(stages, top_k=10, explain=True)
    assert hit.explain == {"dense": StageRank(2, 0.8)}


def test_ties_are_settled_by_ids_wherever_the_store_puts_them() -> None:
    """Also at the cut, for which the stores are asked for some more."""
    points = [found("c", 0.5), found("d", 0.25), found("b", 0.25), found("a", 0.25)]
    for stored in (points, points[::-1]):
        hits = payload.to_hits({"fused": stored}, top_k=2, explain=False)
        assert [hit.chunk.id for hit in hits] == ["c", "a"]
