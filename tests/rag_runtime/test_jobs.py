"""Jobs are finished: after a crash, by another replica, and whatever changes while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import Chunk, Document, DocumentId, FileResult, Job, Passage, Vectors
from rag_runtime.errors import Conflict, NotFound, Overloaded, RequestError, StoreRejected, StoreUnavailable
from rag_runtime.jobs import MAX_ENDED, JobOptions, JobRunner
from rag_runtime.testing import HashEmbedder, MemoryStore, WordTokenizer

A = DocumentId("a")


def document(text: str, id_: DocumentId = A) -> Document:
    return Document(id_, f"{id_}.txt", "text", f"hash of {text[:40]}", (Passage(text),))


def job(*ids: str, created_at: float = 0.0, owner: str = "", lease_until: float = 0.0) -> Job:
    files = tuple(FileResult(f"{id_}.txt", DocumentId(id_), "queued", characters=20) for id_ in ids or ("a",))
    return Job("-".join(ids or ("a",)), created_at, files, owner=owner, lease_until=lease_until)


def chunk(whole: Document) -> Iterator[Chunk]:
    return chunk_document(whole, ChunkLimits(32, 32), WordTokenizer(), index_key="test")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SlowEmbedder(HashEmbedder):
    """Waits in each step until it is let go; `reached` is set when it waits."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__()

    async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
        self.reached.set()
        await self.go.wait()
        return await super().embed_documents(texts)


def runner(store: MemoryStore, embedder: HashEmbedder | None = None, **options: object) -> JobRunner:
    chosen = JobOptions(**{"owner": "me", "poll_seconds": 0.02, "retention_seconds": 1e12, **options})  # type: ignore[arg-type]
    return JobRunner(store, embedder or HashEmbedder(), chunk, chosen)


async def eventually(call: Callable[[], Awaitable[Job]]) -> Job:
    """A job is finished a moment before its record says so."""
    for _ in range(500):
        with suppress(Conflict):
            return await call()
        await asyncio.sleep(0.01)
    return await call()


async def put(store: MemoryStore, put_job: Job, *texts: str) -> None:
    await store.put_documents([document(t, f.document_id) for f, t in zip(put_job.files, texts, strict=False)])
    await store.put_job(put_job)


async def test_a_job_that_a_dead_replica_left_is_finished() -> None:
    store = MemoryStore()
    await put(store, job(owner="dead", lease_until=1.0), "Some text.")
    mine = runner(store)
    mine.start()
    finished = await mine.wait("a", seconds=5)
    await mine.stop()
    assert (finished.status, finished.owner, len(store.published)) == ("succeeded", "me", 1)


async def test_a_job_that_a_living_replica_works_on_is_left_alone() -> None:
    store = MemoryStore()
    await put(store, job(owner="other", lease_until=9e9), "Some text.")
    mine = runner(store)
    mine.start()
    assert (await mine.wait("a", seconds=0.2)).status == "running"
    await mine.stop()
    assert not store.published


async def test_the_only_writer_needs_not_wait_for_its_own_old_lease() -> None:
    """A lease that was running when the process began is that of the process before it."""
    store = MemoryStore()
    clock = Clock()
    await put(store, job(owner="before", lease_until=clock.now + 29), "Some text.")
    mine = JobRunner(store, HashEmbedder(), chunk, JobOptions("me", poll_seconds=0.02, sole_writer=True), clock=clock)
    mine.start()
    assert (await mine.wait("a", seconds=5)).status == "succeeded"
    await mine.stop()


async def test_a_lease_ends_when_it_should_whoever_takes_it() -> None:
    """Else the process after a crash could not tell it from one of its own."""
    store, embedder, clock = MemoryStore(), SlowEmbedder(), Clock()
    await put(store, job(), "Some text.")
    options = JobOptions("me", lease_seconds=30.0, sole_writer=True)
    mine = JobRunner(store, embedder, chunk, options, clock=clock)
    mine.start()
    await embedder.reached.wait()
    assert store.jobs["a"].lease_until == pytest.approx(clock.now + 30)
    await mine.stop()


async def test_the_only_writer_does_not_take_its_own_job_twice() -> None:
    store = MemoryStore()
    embedder = SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder, sole_writer=True)
    mine.start()
    await embedder.reached.wait()
    await asyncio.sleep(0.1)
    embedder.go.set()
    await mine.wait("a", seconds=5)
    await mine.stop()
    assert embedder.embedded == ["Some text."]


async def test_stopping_releases_the_job_and_another_run_finishes_it() -> None:
    store = MemoryStore()
    embedder = SlowEmbedder()
    await put(store, job(), "Some text.")
    first = runner(store, embedder)
    first.start()
    await embedder.reached.wait()
    await first.stop()
    assert (store.jobs["a"].status, store.jobs["a"].lease_until) == ("running", 0.0)
    second = runner(store)
    second.start()
    assert (await second.wait("a", seconds=5)).status == "succeeded"
    await second.stop()


async def test_a_store_that_is_away_for_a_while_costs_nothing_but_time() -> None:
    store = MemoryStore()
    await put(store, job(), "Some text.")
    store.fault = StoreUnavailable("away")
    mine = runner(store)
    mine.start()
    await asyncio.sleep(0.1)
    store.fault = None
    assert (await mine.wait("a", seconds=5)).status == "succeeded"
    await mine.stop()


async def test_what_was_sent_last_is_what_is_found_in_the_end() -> None:
    """The document changes while its older text is being embedded."""
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, job(), "The old text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    await store.put_documents([document("The new text.")])
    embedder.go.set()
    await mine.wait("a", seconds=5)
    await mine.stop()
    assert [embedded.chunk.text for embedded in store.published.values()] == ["The new text."]


async def test_a_document_that_is_deleted_while_it_is_embedded_stays_deleted() -> None:
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    await store.delete_document(A)
    embedder.go.set()
    finished = await mine.wait("a", seconds=5)
    await mine.stop()
    assert finished.status == "failed"
    assert finished.files[0].error is not None
    assert not store.published


async def test_a_surprise_in_one_document_costs_the_others_nothing() -> None:
    class Surprised(HashEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
            if "bad" in texts[0]:
                raise ZeroDivisionError
            return await super().embed_documents(texts)

    store = MemoryStore()
    await put(store, job("a", "b"), "a bad text", "A good text.")
    mine = runner(store, Surprised())
    mine.start()
    finished = await mine.wait("a-b", seconds=5)
    await mine.stop()
    assert [file.status for file in finished.files] == ["failed", "stored"]
    assert finished.files[0].error is not None
    assert "ZeroDivision" not in str(finished.files[0].error)


async def test_a_running_job_shows_how_far_it_is() -> None:
    store = MemoryStore()

    class InSteps(SlowEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
            vectors = await super().embed_documents(texts)
            self.go.clear()
            return vectors

    embedder = InSteps()
    await put(store, job(), " ".join(f"word{n}." for n in range(200)))
    mine = runner(store, embedder, batch_size=2)
    mine.start()
    seen = []
    while (found := await mine.find("a")).status == "running" or not seen:
        seen.append(found.files[0].chunks)
        embedder.go.set()
        await asyncio.sleep(0.005)
    await mine.stop()
    assert len(set(seen)) > 2
    assert seen == sorted(seen)


async def test_a_running_job_renews_its_lease() -> None:
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder, lease_seconds=0.3)
    mine.start()
    await embedder.reached.wait()
    first = store.jobs["a"].lease_until
    await asyncio.sleep(0.4)
    assert store.jobs["a"].lease_until > first
    embedder.go.set()
    await mine.wait("a", seconds=5)
    await mine.stop()


async def test_so_many_jobs_may_wait_and_no_more() -> None:
    mine = runner(MemoryStore(), queue_limit=2)
    for id_ in ("a", "b"):
        mine.check_room()
        mine.wake(id_)
    with pytest.raises(Overloaded, match="2 ingest jobs"):
        mine.check_room()


async def test_waiting_for_a_job_that_is_not_there_fails() -> None:
    with pytest.raises(NotFound):
        await runner(MemoryStore()).wait("none", seconds=1)


async def test_a_long_document_is_embedded_in_steps() -> None:
    store, embedder = MemoryStore(), HashEmbedder()
    await put(store, replace(job()), " ".join(f"word{n}." for n in range(2000)))
    mine = runner(store, embedder, batch_size=4)
    mine.start()
    finished = await mine.wait("a", seconds=10)
    await mine.stop()
    assert finished.files[0].chunks == len(store.published) == len(embedder.embedded) > 50


async def test_a_document_that_ends_process_after_process_is_given_up_and_the_rest_of_its_job_is_not() -> None:
    store = MemoryStore()
    poisoned = replace(job("a", "b"), tried_by=tuple(f"dead-{n}" for n in range(MAX_ENDED)))
    await put(store, poisoned, "A text that kills.", "A good text.")
    mine = runner(store)
    mine.start()
    finished = await mine.wait("a-b", seconds=5)
    await mine.stop()
    assert [file.status for file in finished.files] == ["failed", "stored"]
    assert finished.files[0].error is not None
    assert "5 processes ended" in str(finished.files[0].error["detail"])
    assert store.jobs["a-b"].tried_by == ()


async def test_a_process_that_ends_leaves_its_name_and_one_that_stops_does_not() -> None:
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, replace(job(), tried_by=("dead",)), "Some text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    assert store.jobs["a"].tried_by == ("dead", "me")
    await mine.stop()
    assert store.jobs["a"].tried_by == ("dead",)


async def test_who_finished_a_file_is_the_first_to_try_the_next() -> None:
    store = MemoryStore()

    class SlowSecond(SlowEmbedder):
        async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
            return await (super() if "second" in texts[0] else HashEmbedder()).embed_documents(texts)

    embedder = SlowSecond()
    await put(store, replace(job("a", "b"), tried_by=("dead", "gone")), "The first text.", "The second text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    written = store.jobs["a-b"]
    await mine.stop()
    assert ([file.status for file in written.files], written.tried_by) == (["stored", "queued"], ("me",))


async def test_jobs_under_suspicion_run_one_at_a_time() -> None:
    """Else the one that only ran beside the cause would be counted with it each time."""
    store, embedder = MemoryStore(), SlowEmbedder()
    for number, id_ in enumerate(("a", "b")):
        await put(store, replace(job(id_, created_at=number), tried_by=("dead",)), f"Text {id_}.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    await asyncio.sleep(0.1)
    assert (store.jobs["a"].tried_by, store.jobs["b"].tried_by) == (("dead", "me"), ("dead",))
    embedder.go.set()
    assert [(await mine.wait(id_, seconds=5)).status for id_ in ("a", "b")] == ["succeeded"] * 2
    await mine.stop()


async def test_a_store_that_refuses_its_key_for_a_while_fails_no_document() -> None:
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder, lease_seconds=0.2)
    mine.start()
    await embedder.reached.wait()
    store.fault = StoreRejected("wrong key")
    embedder.go.set()
    await asyncio.sleep(0.2)
    store.fault = None
    assert (await mine.wait("a", seconds=5)).status == "succeeded"
    await mine.stop()


async def test_a_document_deleted_while_it_is_embedded_is_not_even_found_for_a_moment() -> None:
    published: list[str] = []

    class Watched(MemoryStore):
        async def publish(self, document_id: DocumentId, content_hash: str) -> int:
            published.append(document_id)
            return await super().publish(document_id, content_hash)

    store, embedder = Watched(), SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    await store.delete_document(A)
    embedder.go.set()
    assert (await mine.wait("a", seconds=5)).status == "failed"
    await mine.stop()
    assert not published


async def test_nobody_waits_for_a_job_of_a_replica_that_stops() -> None:
    store, embedder = MemoryStore(), SlowEmbedder()
    await put(store, job(), "Some text.")
    mine = runner(store, embedder)
    mine.start()
    await embedder.reached.wait()
    waiting = asyncio.create_task(mine.wait("a", seconds=60))
    mine.refuse()
    assert (await asyncio.wait_for(waiting, 3)).status == "running"
    await mine.stop()


async def test_many_small_documents_are_embedded_together() -> None:
    class Counting(HashEmbedder):
        steps = 0

        async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
            self.steps += 1
            return await super().embed_documents(texts)

    store, embedder = MemoryStore(), Counting()
    ids = [f"d{n}" for n in range(200)]
    await put(store, job(*ids), *(f"Text {id_}." for id_ in ids))
    mine = runner(store, embedder, batch_size=32)
    mine.start()
    finished = await mine.wait("-".join(ids), seconds=5)
    await mine.stop()
    assert (finished.status, len(store.published)) == ("succeeded", 200)
    assert embedder.steps < 20


async def test_what_failed_by_a_passing_cause_is_retried_from_the_text_that_is_kept() -> None:
    class Ailing(HashEmbedder):
        ill = True

        async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
            if self.ill and any("second" in text for text in texts):
                raise ZeroDivisionError
            return await super().embed_documents(texts)

    store, embedder = MemoryStore(), Ailing()
    await put(store, job("a", "b"), "The first text.", "The second text.")
    mine = runner(store, embedder)
    mine.start()
    failed = await mine.wait("a-b", seconds=5)
    embedder.ill = False
    again = await eventually(lambda: mine.retry("a-b"))
    finished = await mine.wait("a-b", seconds=5)
    await mine.stop()
    assert [(file.status, file.retryable) for file in failed.files] == [("stored", False), ("failed", True)]
    assert [file.status for file in again.files] == ["stored", "queued"]
    assert [(file.status, file.error) for file in finished.files] == [("stored", None)] * 2


@pytest.mark.parametrize(
    ("file", "error", "words"),
    [
        (FileResult("a.pdf", A, "queued"), Conflict, "not finished"),
        (FileResult("a.pdf", A, "stored", 3), RequestError, "nothing failed"),
        (FileResult("a.pdf", A, "failed"), RequestError, r"sent again.*a\.pdf"),
    ],
)
async def test_what_cannot_be_retried_is_said(file: FileResult, error: type[Exception], words: str) -> None:
    store = MemoryStore()
    await store.put_job(Job("j", 0.0, (file,)))
    with pytest.raises(error, match=words):
        await runner(store).retry("j")


async def test_old_jobs_are_forgotten_and_unfinished_ones_never() -> None:
    store, clock = MemoryStore(), Clock(10_000.0)
    done = (FileResult("a.txt", A, "stored", 1),)
    for n in range(5):
        await store.put_job(Job(f"done-{n}", 1000.0 * n, done))
    await store.put_job(replace(job(owner="other", lease_until=9e9), id="open"))
    options = JobOptions("me", poll_seconds=0.02, retention_seconds=8500, kept=2)
    mine = JobRunner(store, HashEmbedder(), chunk, options, clock=clock)
    mine.start()
    for _ in range(500):
        if len(store.jobs) == 3:
            break
        await asyncio.sleep(0.01)
    await mine.stop()
    assert set(store.jobs) == {"done-3", "done-4", "open"}


async def test_progress_is_the_share_of_the_text_that_is_dealt_with() -> None:
    files = (
        FileResult("a", A, "stored", 2, characters=100),
        FileResult("b", A, "queued", 1, characters=300, embedded=200),
        FileResult("c", A, "failed"),
    )
    assert Job("j", 0.0, files).progress == pytest.approx(301 / 401)
    assert Job("j", 0.0, files[:1]).progress == 1.0
