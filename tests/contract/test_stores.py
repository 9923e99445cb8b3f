"""One promise, two stores: everything that the pipelines may rely on, asked of both.

The server is the one that RAGOPS_TEST_QDRANT_URL names (with RAGOPS_TEST_QDRANT_API_KEY), else the test server.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Hit, Vectors
from rag_runtime.errors import IndexMismatch, RequestError, StoreRejected
from rag_runtime.fusion import reciprocal_rank
from rag_runtime.ports import ChunkStore, Search
from tests.stores import DENSE, Opener, document, embedded, feedback, job, query, spec, store_document, vectors


def ids(hits: list[Hit]) -> list[str]:
    return [hit.chunk.id for hit in hits]


async def test_a_staged_chunk_is_neither_found_nor_counted(store: ChunkStore) -> None:
    await store.stage(embedded(count=3))
    assert await store.search(query()) == []
    assert await store.count() == 0
    assert await store.published_version(DocumentId("d1")) is None


async def test_a_published_chunk_comes_back_as_it_went_in(store: ChunkStore) -> None:
    chunks = embedded(count=3)
    await store.stage(chunks)
    assert await store.publish(DocumentId("d1"), "v1") == 3
    hits = await store.search(query())
    assert sorted((hit.chunk for hit in hits), key=lambda c: c.ordinal) == [e.chunk for e in chunks]
    assert await store.count() == 3
    assert await store.published_version(DocumentId("d1")) == ("v1", 3)


async def test_staging_and_publishing_twice_changes_nothing(store: ChunkStore) -> None:
    for _ in range(2):
        assert await store_document(store, count=5) == 5
    assert await store.count() == 5


async def test_a_published_chunk_stays_visible_while_it_is_staged_again(store: ChunkStore) -> None:
    await store_document(store, count=2)
    await store.stage(embedded(count=2))
    assert await store.count() == 2
    assert len(await store.search(query())) == 2


async def test_a_new_version_replaces_the_old_one_whole(store: ChunkStore) -> None:
    await store_document(store, "other", count=2)
    await store_document(store, version="v1", count=5)
    await store.stage(embedded(version="v2", count=3))
    assert await store.published_version(DocumentId("d1")) == ("v1", 5)
    assert await store.publish(DocumentId("d1"), "v2") == 3
    assert await store.published_version(DocumentId("d1")) == ("v2", 3)
    assert await store.count() == 5
    assert {hit.chunk.content_hash for hit in await store.search(query()) if hit.chunk.document_id == "d1"} == {"v2"}


async def test_publishing_a_version_without_chunks_leaves_none(store: ChunkStore) -> None:
    await store_document(store, count=2)
    assert await store.publish(DocumentId("d1"), "v2") == 0
    assert await store.count() == 0


async def test_many_chunks_in_one_call_are_all_stored(store: ChunkStore) -> None:
    assert await store_document(store, count=203) == 203


async def test_no_chunks_are_no_error(store: ChunkStore) -> None:
    await store.stage([])
    assert await store.search(query()) == []


async def test_the_score_is_reciprocal_rank_fusion_of_the_two_sides(store: ChunkStore) -> None:
    await store_document(store, count=12)
    hits = await store.search(replace(query(words=(1, 103, 105)), explain=True, top_k=12))
    sides = [
        sorted((h for h in hits if side in h.explain), key=lambda h: h.explain[side].rank)
        for side in ("dense", "sparse")
    ]
    expected = dict(reciprocal_rank([ids(side) for side in sides], k=60))
    assert len(hits) == 12
    assert [hit.score for hit in hits] == pytest.approx([expected[hit.chunk.id] for hit in hits], rel=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_an_explained_hit_has_each_sides_rank_and_own_score(store: ChunkStore) -> None:
    chunks = embedded(count=6)
    await store.stage(chunks)
    await store.publish(DocumentId("d1"), "v1")
    search = replace(query(words=(103,)), explain=True)
    hits = {hit.chunk.id: hit for hit in await store.search(search)}
    wanted = search.vectors.dense
    cosines = {
        e.chunk.id: float(e.vectors.dense @ wanted / np.linalg.norm(e.vectors.dense) / np.linalg.norm(wanted))
        for e in chunks
    }
    best = max(cosines, key=lambda id_: cosines[id_])
    assert hits[best].explain["dense"].rank == 1
    assert hits[best].explain["dense"].score == pytest.approx(cosines[best], abs=1e-4)
    assert [hit.chunk.ordinal for hit in hits.values() if "sparse" in hit.explain] == [3]


async def test_an_unexplained_hit_has_no_stages(store: ChunkStore) -> None:
    await store_document(store)
    assert all(not hit.explain for hit in await store.search(query()))


async def test_a_question_without_known_words_is_searched_by_meaning_alone(store: ChunkStore) -> None:
    await store_document(store, count=4)
    assert len(await store.search(query(words=()))) == 4


async def test_top_k_and_candidates_bound_the_hits(store: ChunkStore) -> None:
    await store_document(store, count=9)
    assert len(await store.search(query(top_k=4))) == 4
    assert len(await store.search(replace(query(words=()), candidates=3))) == 3


async def test_the_score_floor_cuts_by_the_fused_score(store: ChunkStore) -> None:
    await store_document(store, count=9)
    hits = await store.search(query(top_k=9))
    floor = (hits[3].score + hits[4].score) / 2
    if hits[3].score > hits[4].score:
        assert ids(await store.search(replace(query(top_k=9), score_floor=floor))) == ids(hits[:4])
    assert await store.search(replace(query(), score_floor=1.0)) == []


async def test_equal_hits_come_in_one_order_in_whichever_they_were_stored(store: ChunkStore) -> None:
    """Twice the same score: first in the one side, and nowhere in the other."""
    by_meaning, by_word = embedded("d1")[0], embedded("d2")[0]
    both = [
        replace(by_meaning, vectors=vectors(1, words=(7,))),
        replace(by_word, vectors=vectors(2, words=(9,))),
    ]
    asked = Search(replace(vectors(1), sparse=vectors(2, words=(9,)).sparse), top_k=1, candidates=1)
    for order in (both, both[::-1]):
        for each in order:
            await store.delete_document(each.chunk.document_id)
        for each in order:
            await store.stage([each])
            await store.publish(each.chunk.document_id, "v1")
        (hit,) = await store.search(asked)
        assert hit.chunk.id == min(each.chunk.id for each in both)


async def test_late_interaction_reorders_the_fused_candidates(late_store: ChunkStore) -> None:
    chunks = embedded(count=20, late=True)
    await late_store.stage(chunks)
    await late_store.publish(DocumentId("d1"), "v1")
    search = replace(query(3, late=True, top_k=20), explain=True)
    fused = {hit.chunk.id: hit.score for hit in await late_store.search(replace(search, vectors=without_late(search)))}
    hits = await late_store.search(search)
    assert ids(hits) == sorted(fused, key=lambda id_: -max_sim(search, chunks, id_))
    assert [hit.explain["late"].rank for hit in hits] == list(range(1, 21))
    assert [hit.score for hit in hits] == pytest.approx([fused[hit.chunk.id] for hit in hits])


async def test_late_interaction_sees_no_more_than_the_candidates(late_store: ChunkStore) -> None:
    await late_store.stage(embedded(count=20, late=True))
    await late_store.publish(DocumentId("d1"), "v1")
    search = replace(query(3, words=(), late=True, top_k=20), candidates=5)
    fused = await late_store.search(replace(search, vectors=without_late(search), top_k=5))
    assert set(ids(await late_store.search(search))) == set(ids(fused))


@pytest.mark.parametrize("size", [DENSE - 1, DENSE + 1])
async def test_a_vector_of_the_wrong_size_is_refused_and_nothing_is_stored(store: ChunkStore, size: int) -> None:
    good, bad = embedded(count=2)
    bad = replace(bad, vectors=replace(bad.vectors, dense=np.ones(size, np.float32)))
    with pytest.raises(StoreRejected, match=bad.chunk.id):
        await store.stage([good, bad])
    assert await store.publish(DocumentId("d1"), "v1") == 0


async def test_a_vector_that_is_not_finite_is_refused(store: ChunkStore) -> None:
    (bad,) = embedded()
    bad.vectors.dense[2] = np.nan
    with pytest.raises(StoreRejected, match="finite"):
        await store.stage([bad])


async def test_the_version_rises_with_every_publish_and_delete(store: ChunkStore) -> None:
    versions = [await store.version()]
    for change in (store_document(store), store_document(store, version="v2"), store.delete_document(DocumentId("d1"))):
        await change
        versions.append(await store.version())
    assert versions == sorted(set(versions))


async def test_the_version_stays_where_nothing_a_search_could_find_changes(store: ChunkStore) -> None:
    before = await store.version()
    await store.stage(embedded())
    await store.put_documents([document()])
    await store.put_job(job())
    assert await store.version() == before


async def test_concurrent_changes_each_raise_the_version(store: ChunkStore) -> None:
    before = await store.version()
    await asyncio.gather(*(store_document(store, f"d{n}", count=1) for n in range(8)))
    assert await store.version() > before
    assert await store.count() == 8


async def test_a_document_comes_back_with_every_character(store: ChunkStore) -> None:
    stored = document(text="x" * 3_000_001 + "ä" * 500_000)
    await store.put_documents([stored, document("d2")])
    assert await store.get_document(DocumentId("d1")) == stored
    assert await store.get_document(DocumentId("d2")) == document("d2")


async def test_a_document_put_again_replaces_the_first(store: ChunkStore) -> None:
    await store.put_documents([document(text="y" * 3_000_000)])
    await store.put_documents([document(version="v2", text="short")])
    assert await store.get_document(DocumentId("d1")) == document(version="v2", text="short")
    assert [found.content_hash for found in await all_documents(store)] == ["v2"]


async def test_an_unknown_document_is_none(store: ChunkStore) -> None:
    assert await store.get_document(DocumentId("nobody")) is None
    assert await store.delete_document(DocumentId("nobody")) is False


async def test_a_document_without_passages_is_kept(store: ChunkStore) -> None:
    await store.put_documents([replace(document(), passages=())])
    assert await store.get_document(DocumentId("d1")) == replace(document(), passages=())


async def test_pages_list_every_document_once_without_its_text(store: ChunkStore) -> None:
    names = [f"d{n}" for n in range(25)]
    await store.put_documents([document(name) for name in names])
    found = await all_documents(store, limit=7)
    assert sorted(found_.id for found_ in found) == sorted(names)
    assert all(found_ == replace(document(found_.id), passages=()) for found_ in found)


async def test_the_last_page_says_that_it_is_the_last(store: ChunkStore) -> None:
    await store.put_documents([document(f"d{n}") for n in range(4)])
    page, after = await store.list_documents(limit=4)
    assert len(page) == 4
    assert after is None


async def test_a_place_to_go_on_from_that_nobody_gave_out_is_harmless(store: ChunkStore) -> None:
    try:
        await store.list_documents(limit=2, after="no such place")
    except RequestError as refusal:
        assert "no such place" in str(refusal)  # noqa: PT017, one store may know and the other may not


async def test_a_deleted_document_takes_its_chunks_with_it(store: ChunkStore) -> None:
    await store_document(store, "d1", count=3)
    await store_document(store, "d2", count=2)
    await store.stage(embedded("d1", version="v2"))
    assert await store.delete_document(DocumentId("d1")) is True
    assert await store.delete_document(DocumentId("d1")) is False
    assert await store.get_document(DocumentId("d1")) is None
    assert await store.count() == 2
    assert await store.publish(DocumentId("d1"), "v2") == 0


async def test_a_job_comes_back_as_it_went_in(store: ChunkStore) -> None:
    await store.put_job(job())
    assert await store.get_job("j1") == job()
    assert await store.get_job("j2") is None


async def test_the_oldest_free_job_is_leased_first(store: ChunkStore) -> None:
    await store.put_job(job("young", created_at=200.0))
    await store.put_job(job("old", created_at=100.0))
    await store.put_job(job("done", created_at=50.0, done=True))
    first = await store.claim_job(owner="one", now=1000.0, lease_seconds=60)
    second = await store.claim_job(owner="two", now=1000.0, lease_seconds=60)
    assert first == replace(job("old", created_at=100.0), owner="one", lease_until=1060.0)
    assert second == replace(job("young", created_at=200.0), owner="two", lease_until=1060.0)
    assert await store.claim_job(owner="three", now=1001.0, lease_seconds=60) is None


async def test_a_job_whose_lease_ran_out_goes_to_another(store: ChunkStore) -> None:
    await store.put_job(job())
    await store.claim_job(owner="dead", now=1000.0, lease_seconds=60)
    assert await store.claim_job(owner="next", now=1059.0, lease_seconds=60) is None
    taken = await store.claim_job(owner="next", now=1061.0, lease_seconds=60)
    assert taken is not None
    assert taken.owner == "next"
    assert await store.get_job("j1") == taken


async def test_a_claim_is_known_to_its_owner_whatever_the_time(store: ChunkStore) -> None:
    """Times of the clock have more digits than some servers keep; workers of one replica have one name."""
    for number in range(40):
        await store.put_job(job(f"j{number}"))
        now = 1795534852.8494103 + number * 0.7654321
        claims = await asyncio.gather(*(store.claim_job(owner="o", now=now, lease_seconds=1e6) for _ in range(2)))
        assert [claim.id for claim in claims if claim] == [f"j{number}"]


async def test_one_job_is_leased_once_however_many_ask(store: ChunkStore) -> None:
    await store.put_job(job())
    claims = await asyncio.gather(*(store.claim_job(owner=f"o{n}", now=1000.0, lease_seconds=60) for n in range(8)))
    winners = [claim.owner for claim in claims if claim]
    assert len(winners) == 1
    found = await store.get_job("j1")
    assert found is not None
    assert found.owner == winners[0]


async def test_old_jobs_are_forgotten_but_no_open_ones(store: ChunkStore) -> None:
    for n in range(6):
        await store.put_job(job(f"done-{n}", created_at=100.0 + n, done=True))
    await store.put_job(job("open", created_at=1.0))
    await store.expire_jobs(before=102.0, keep=3)
    left = [name for name in (*(f"done-{n}" for n in range(6)), "open") if await store.get_job(name)]
    assert left == ["done-3", "done-4", "done-5", "open"]


async def test_feedback_comes_back_as_it_went_in_page_by_page(store: ChunkStore) -> None:
    kept = [feedback(str(uuid.UUID(int=n))) for n in range(5)]
    for one in reversed(kept):
        await store.put_feedback(one)
    first, after = await store.list_feedback(limit=3)
    second, end = await store.list_feedback(limit=3, after=after)
    assert (first + second, end) == (kept, None)


async def test_feedback_under_the_same_id_replaces_what_was_kept(store: ChunkStore) -> None:
    one = feedback(str(uuid.UUID(int=1)))
    await store.put_feedback(one)
    await store.put_feedback(replace(one, rating="down"))
    assert await store.list_feedback(limit=10) == ([replace(one, rating="down")], None)


async def test_a_documents_version_is_known_without_its_text(store: ChunkStore) -> None:
    assert await store.kept_version(DocumentId("d1")) is None
    await store.put_documents([document(version="v2")])
    assert await store.kept_version(DocumentId("d1")) == "v2"


async def test_everything_is_there_after_reopening(make: Opener) -> None:
    first = make()
    await first.open()
    await store_document(first, count=4)
    await first.put_job(job())
    await first.put_feedback(rated := feedback(str(uuid.UUID(int=1))))
    before = await first.version()
    await first.close()
    second = make()
    await second.open()
    assert await second.count() == 4
    assert await second.get_document(DocumentId("d1")) == document()
    assert await second.get_job("j1") == job()
    assert await second.list_feedback(limit=10) == ([rated], None)
    assert await second.version() >= before
    await second.close()


async def test_an_index_of_other_settings_is_refused_by_both_names(make: Opener) -> None:
    first = make(spec(model="one"))
    await first.open()
    await first.close()
    second = make(spec(model="two"))
    with pytest.raises(IndexMismatch) as refusal:
        await second.open()
    await second.close()
    assert "EMBEDDING_MODEL=one" in str(refusal.value)
    assert "EMBEDDING_MODEL=two" in str(refusal.value)
    assert str(refusal.value).count("handbook__") == 2


async def test_settings_in_another_order_are_the_same_index(make: Opener) -> None:
    first = make()
    await first.open()
    await store_document(first)
    await first.close()
    second = make(replace(spec(), settings=tuple(reversed(spec().settings))))
    await second.open()
    assert await second.count() == 3
    await second.close()


async def test_an_index_of_another_owner_is_refused(make: Opener) -> None:
    first = make(owner="team-a/handbook")
    await first.open()
    await first.close()
    second = make(owner="team-b/handbook", adopt=True)
    with pytest.raises(IndexMismatch, match=r"team-a/handbook.*team-b/handbook"):
        await second.open()
    await second.close()


async def test_an_index_without_an_owner_is_adopted_only_when_told(make: Opener) -> None:
    first = make()
    await first.open()
    await store_document(first)
    await first.close()
    shy = make(owner="team-a/handbook")
    with pytest.raises(IndexMismatch, match="made locally"):
        await shy.open()
    await shy.close()
    bold = make(owner="team-a/handbook", adopt=True)
    await bold.open()
    assert await bold.count() == 3
    await bold.close()
    again = make(owner="team-a/handbook")
    await again.open()
    await again.close()


async def test_a_name_that_would_leave_its_folder_is_refused(make: Opener) -> None:
    with pytest.raises(StoreRejected, match="COLLECTION_NAME"):
        await make(replace(spec(), name="../secrets/x")).open()


async def test_searches_and_writes_at_once_lose_nothing(store: ChunkStore) -> None:
    writes = (store_document(store, f"d{n}", count=4) for n in range(10))
    reads = (store.search(query(n)) for n in range(40))
    await asyncio.gather(*writes, *reads)
    assert await store.count() == 40


async def test_ping_answers(store: ChunkStore) -> None:
    await store.ping()


async def all_documents(store: ChunkStore, *, limit: int = 10) -> list[Document]:
    found, after = await store.list_documents(limit=limit)
    while after is not None:
        page, after = await store.list_documents(limit=limit, after=after)
        found += page
    return found


def without_late(search: Search) -> Vectors:
    return replace(search.vectors, late=None)


def max_sim(search: Search, chunks: Sequence[EmbeddedChunk], id_: str) -> float:
    asked = unit_rows(search.vectors.late)
    tokens = unit_rows(next(e.vectors.late for e in chunks if e.chunk.id == id_))
    return float((asked @ tokens.T).max(axis=1).sum())


def unit_rows(rows: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert rows is not None
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
