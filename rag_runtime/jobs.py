"""Finish jobs in the background: chunk, embed, stage and publish each queued document, under a lease that is renewed.

The store is the queue. Every step may be repeated by another replica, or by this one after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from weakref import WeakValueDictionary

import structlog

from rag_runtime.domain import Chunk, Document, DocumentId, EmbeddedChunk, FileResult, Job
from rag_runtime.errors import DocumentUnreadable, Misconfigured, NotFound, Overloaded, StoreUnavailable, Unavailable
from rag_runtime.ports import ChunkStore, Embedder
from rag_runtime.problems import to_problem

log = structlog.get_logger(__name__)

# A document that changes as often as this while it is embedded is left to the job that changed it last.
MAX_ROUNDS = 5
# So many processes may end while they work on a document before it is taken for the cause.
MAX_ENDED = 5


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`owner` names this replica. A `sole_writer` knows that leases older than itself are dead."""

    owner: str
    batch_size: int = 32
    at_once: int = 2
    queue_limit: int = 200
    lease_seconds: float = 30.0
    poll_seconds: float = 5.0
    sole_writer: bool = False


class JobRunner:
    def __init__(
        self,
        store: ChunkStore,
        embedder: Embedder,
        chunk: Callable[[Document], Iterator[Chunk]],
        options: JobOptions,
        *,
        clock: Callable[[], float] = time.time,
        on_finished: Callable[[FileResult], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._chunk = chunk
        self._options = options
        self._clock = clock
        self._on_finished = on_finished
        self._started_at = clock()
        self._open: dict[str, asyncio.Event] = {}
        self._running: dict[str, _Running] = {}
        self._woken = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._locks: WeakValueDictionary[DocumentId, asyncio.Lock] = WeakValueDictionary()
        # One at a time, so that a job which only ran beside the one to blame is not blamed with it.
        self._suspects = asyncio.Lock()
        self._stopping = False

    def start(self) -> None:
        self._workers = [asyncio.create_task(self._work(), name=f"ingest-{n}") for n in range(self._options.at_once)]

    async def stop(self) -> None:
        """End between two steps; unfinished jobs are released for whoever comes next."""
        self.refuse()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def refuse(self) -> None:
        """Take no new job from now on."""
        self._stopping = True

    def check_room(self) -> None:
        if self._stopping:
            raise Overloaded("this replica is stopping: send the documents again")
        if len(self._open) >= self._options.queue_limit:
            raise Overloaded(f"{len(self._open)} ingest jobs are waiting: send the documents again later")

    def wake(self, job_id: str) -> None:
        """There is a new job in the store."""
        self._open[job_id] = asyncio.Event()
        self._woken.set()

    async def find(self, job_id: str) -> Job:
        """A job as far as it is known: one that runs here is ahead of its record, which is written now and then."""
        running = self._running.get(job_id)
        if running is not None and running.job.status == "running":
            return running.job
        job = await self._store.get_job(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:100]}")
        return job

    async def wait(self, job_id: str, *, seconds: float) -> Job:
        """The job when it is finished, or as it is after so many seconds, or when this replica is to stop."""
        deadline = time.monotonic() + seconds
        while True:
            job = await self.find(job_id)
            left = deadline - time.monotonic()
            if job.status not in ("queued", "running") or left <= 0 or self._stopping:
                return job
            done = self._open.get(job_id)
            # Another replica may finish it, and tells nobody but the store.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, left)):
                    await (done.wait() if done else asyncio.sleep(left))

    async def _work(self) -> None:
        while True:
            try:
                job = await self._claim()
                if job is None:
                    await self._rest()
                else:
                    await self._run(job)
            except (Unavailable, Misconfigured) as later:
                log.warning("ingest_paused", reason=str(later))
                await asyncio.sleep(self._options.poll_seconds)
            except Exception:  # a worker that dies of a surprise would leave every later job lying
                log.exception("ingest_failed")
                await asyncio.sleep(self._options.poll_seconds)

    async def _rest(self) -> None:
        """Nothing is to be claimed: what is open here and not running is another replica's by now."""
        for job_id in self._open.keys() - self._running.keys():
            del self._open[job_id]
        self._woken.clear()
        # Not wait_for: before Python 3.12 it can swallow the cancellation that ends a worker.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.poll_seconds):
                await self._woken.wait()

    async def _claim(self) -> Job | None:
        now, lease = self._clock(), self._options.lease_seconds
        ended_by = now
        if self._options.sole_writer:
            # Our own leases end later than this, those of the process before us earlier.
            ended_by = max(now, self._started_at + lease - 0.001)
        return await self._store.claim_job(
            owner=self._options.owner, now=ended_by, lease_seconds=now + lease - ended_by
        )

    async def _run(self, job: Job) -> None:
        running = _Running(self._store, job, self._clock, self._options)
        done = self._open.setdefault(job.id, asyncio.Event())
        self._running[job.id] = running
        renewal = asyncio.create_task(running.keep_renewing())
        try:
            async with self._suspects if job.tried_by else contextlib.nullcontext():
                await self._finish_all(running)
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            try:
                # Released at once when it was cut short, so that nobody has to wait for the lease to run out.
                with contextlib.suppress(Unavailable, Misconfigured):
                    await asyncio.shield(running.release())
            finally:
                del self._running[job.id]
                self._open.pop(job.id, None)
                done.set()
        log.info("ingest_finished", job=job.id, status=running.job.status, files=len(job.files))

    async def _finish_all(self, running: _Running) -> None:
        """A file that may have ended its last processes is written down before it is begun and when it is done."""
        suspected = bool(running.job.tried_by)
        await running.begin()
        for number, file in enumerate(running.job.files):
            if file.status != "queued":
                continue
            if len(running.job.tried_by) > MAX_ENDED:
                self._give_up(number, file, running)
            else:
                await self._finish(number, file, running)
            if suspected:
                await running.begin_next()

    def _give_up(self, number: int, file: FileResult, running: _Running) -> None:
        log.error("document_given_up", document=file.document_id, ended=MAX_ENDED)
        result = _failed(
            file, DocumentUnreadable(f"{MAX_ENDED} processes ended while they embedded it: send it in parts")
        )
        running.note(number, result)
        self._on_finished(result)

    async def _finish(self, number: int, file: FileResult, running: _Running) -> None:
        lock = self._locks.setdefault(file.document_id, asyncio.Lock())
        try:
            async with lock:
                result = await self._publish(file, lambda chunks: running.note(number, replace(file, chunks=chunks)))
        except Unavailable:
            raise
        except Misconfigured as refused:
            # A store that refuses everybody (a wrong key) says nothing about this file: it raises again.
            await self._store.ping()
            result = _failed(file, refused)
        except Exception as failed:  # one file's surprise must not cost the others of its job
            log.exception("document_failed", document=file.document_id)
            result = _failed(file, failed)
        running.note(number, result)
        self._on_finished(result)

    async def _publish(self, file: FileResult, progress: Callable[[int], None]) -> FileResult:
        """Make what the store has of this document searchable, until it is the last that was sent."""
        document = await self._store.get_document(file.document_id)
        for _ in range(MAX_ROUNDS):
            if document is None:
                await self._store.delete_document(file.document_id)
                return _failed(file, NotFound("the document was deleted before it was embedded"))
            count = await self._publish_version(document, progress)
            done, document = document, await self._store.get_document(file.document_id)
            if document is not None and document.content_hash == done.content_hash:
                break
        if count == 0:
            return _failed(file, DocumentUnreadable("the document has no text"))
        return replace(file, status="stored", chunks=count)

    async def _publish_version(self, document: Document, progress: Callable[[int], None]) -> int:
        """How many chunks are published: none where there is no text, or no such document any more."""
        published = await self._store.published_version(document.id)
        if published and published[0] == document.content_hash:
            return published[1]
        chunks, staged = self._chunk(document), 0
        # Cut in steps too: nothing can end a thread, and a large text takes a minute.
        while step := await asyncio.to_thread(lambda: list(islice(chunks, self._options.batch_size))):
            vectors = await self._embedder.embed_documents([chunk.text for chunk in step])
            await self._store.stage([EmbeddedChunk(c, v) for c, v in zip(step, vectors, strict=True)])
            staged += len(step)
            progress(staged)
        if not staged or await self._store.get_document(document.id) is None:
            return 0
        count = await self._store.publish(document.id, document.content_hash)
        if count != staged:
            raise StoreUnavailable(f"{count} of {staged} chunks of {document.id} are in the store: trying again")
        return count


class _Running:
    """A claimed job as far as it has come. Writes of it go one after the other, the latest state each time."""

    def __init__(self, store: ChunkStore, job: Job, clock: Callable[[], float], options: JobOptions) -> None:
        self.job = job
        self._store = store
        self._clock = clock
        self._options = options
        self._writing = asyncio.Lock()

    def note(self, number: int, result: FileResult) -> None:
        files = list(self.job.files)
        files[number] = result
        self.job = replace(self.job, files=tuple(files))

    async def begin(self) -> None:
        """Write down who is at work, for those who find the job when this process has ended."""
        others = self._tried_by_others()
        self.job = replace(self.job, tried_by=(*others, self._options.owner))
        await self._renew()

    async def begin_next(self) -> None:
        """A file is done, so what is begun now is another one, which nobody has tried yet."""
        self.job = replace(self.job, tried_by=(self._options.owner,))
        await self._renew()

    async def keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._options.lease_seconds / 3)
            with contextlib.suppress(Unavailable, Misconfigured):
                await self._renew()

    async def release(self) -> None:
        self.job = replace(self.job, tried_by=self._tried_by_others())
        await self._write(0.0)

    def _tried_by_others(self) -> tuple[str, ...]:
        return tuple(owner for owner in self.job.tried_by if owner != self._options.owner)

    async def _renew(self) -> None:
        await self._write(self._clock() + self._options.lease_seconds)

    async def _write(self, lease_until: float) -> None:
        async with self._writing:
            self.job = replace(self.job, lease_until=lease_until)
            await self._store.put_job(self.job)


def _failed(file: FileResult, error: Exception) -> FileResult:
    return replace(file, status="failed", chunks=0, error=to_problem(error))
