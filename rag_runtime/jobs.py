"""Finish jobs in the background: chunk, embed, stage and publish each queued document, under a lease that is renewed.

The store is the queue. Every step may be repeated by another replica, or by this one after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from rag_runtime.domain import Chunk, Document, DocumentId, FileResult, Job
from rag_runtime.errors import (
    Conflict,
    DocumentUnreadable,
    Misconfigured,
    NotFound,
    Overloaded,
    RequestError,
    Unavailable,
)
from rag_runtime.ports import ChunkStore, Embedder
from rag_runtime.problems import to_problem
from rag_runtime.publishing import Publisher

log = structlog.get_logger(__name__)

# So many processes may end while they work on a document before it is taken for the cause.
MAX_ENDED = 5
# Documents that are worked on together.
LOT_FILES = 64
LOT_CHARACTERS = 1_000_000
EXPIRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class JobOptions:
    """`owner` names this replica. A `sole_writer` knows that leases older than itself are dead.

    Finished jobs are forgotten after `retention_seconds`, and the oldest where there are more than `kept`.
    """

    owner: str
    batch_size: int = 32
    at_once: int = 2
    queue_limit: int = 200
    lease_seconds: float = 30.0
    poll_seconds: float = 5.0
    sole_writer: bool = False
    retention_seconds: float = 604_800.0
    kept: int = 10_000


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
        self._publisher = Publisher(store, embedder, chunk, batch_size=options.batch_size)
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
        self._expired_at = 0.0

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

    async def retry(self, job_id: str) -> Job:
        """Queue again what failed by a passing cause; its text is kept. The rest must be sent again."""
        self.check_room()
        job = await self.find(job_id)
        if job.status in ("queued", "running"):
            raise Conflict(f"the job {job_id[:100]} is not finished: retry it when it is")
        again = [replace(file, status="queued", error=None, retryable=False) for file in job.files if file.retryable]
        if not again:
            raise RequestError(_why_no_retry(job))
        by_id = {file.document_id: file for file in again}
        files = tuple(by_id.get(file.document_id, file) for file in job.files)
        job = replace(job, files=files, owner="", lease_until=0.0, tried_by=())
        await self._store.put_job(job)
        self.wake(job.id)
        return job

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
        if self._clock() >= self._expired_at + EXPIRY_SECONDS:
            self._expired_at = self._clock()
            before = self._expired_at - self._options.retention_seconds
            await self._store.expire_jobs(before=before, keep=self._options.kept)
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
        for lot in _lots(running.job.files, alone=suspected):
            if len(running.job.tried_by) > MAX_ENDED:
                self._give_up(lot[0], running)
            else:
                await self._finish(lot, running)
            if suspected:
                await running.begin_next()

    def _give_up(self, number: int, running: _Running) -> None:
        file = running.job.files[number]
        log.error("document_given_up", document=file.document_id, ended=MAX_ENDED)
        cause = DocumentUnreadable(f"{MAX_ENDED} processes ended while they embedded it: send it in parts")
        self._note(number, _failed(file, cause, retryable=True), running)

    def _note(self, number: int, result: FileResult, running: _Running) -> None:
        running.note(number, result)
        self._on_finished(result)

    async def _finish(self, lot: Sequence[int], running: _Running) -> None:
        files = {running.job.files[number].document_id: number for number in lot}

        def progress(id_: DocumentId, chunks: int, characters: int) -> None:
            file = running.job.files[files[id_]]
            running.note(files[id_], replace(file, chunks=chunks, embedded=characters))

        try:
            async with self._held(files):
                counts = await self._publisher.publish(list(files), progress)
        except Unavailable:
            raise
        except Exception as failed:
            if len(lot) > 1:
                # Whose fault it is shows when each is alone; what is stored already costs nothing.
                for number in lot:
                    await self._finish([number], running)
                return
            if isinstance(failed, Misconfigured):
                # A store that refuses everybody (a wrong key) says nothing about this file: it raises again.
                await self._store.ping()
            else:  # one file's surprise must not cost the others of its job
                log.exception("document_failed", document=running.job.files[lot[0]].document_id)
            retryable = not isinstance(failed, RequestError)
            self._note(lot[0], _failed(running.job.files[lot[0]], failed, retryable=retryable), running)
            return
        for id_, number in files.items():
            self._note(number, _outcome(running.job.files[number], counts[id_]), running)

    @contextlib.asynccontextmanager
    async def _held(self, ids: Iterable[DocumentId]) -> AsyncIterator[None]:
        """The documents' locks, taken in one order by all."""
        async with contextlib.AsyncExitStack() as held:
            for id_ in sorted(ids):
                await held.enter_async_context(self._locks.setdefault(id_, asyncio.Lock()))
            yield


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


def _lots(files: Sequence[FileResult], *, alone: bool) -> Iterator[list[int]]:
    """The queued files by their numbers: small ones together, so that a step of embedding is filled."""
    lot: list[int] = []
    characters = 0
    for number, file in enumerate(files):
        if file.status != "queued":
            continue
        # A record of before its texts were counted may speak of any length.
        length = file.characters or LOT_CHARACTERS
        if lot and (alone or len(lot) == LOT_FILES or characters + length > LOT_CHARACTERS):
            yield lot
            lot, characters = [], 0
        lot.append(number)
        characters += length
    if lot:
        yield lot


def _why_no_retry(job: Job) -> str:
    failed = [file.source for file in job.files if file.status == "failed"]
    if not failed:
        return f"nothing failed in the job {job.id}: there is nothing to retry"
    shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    return f"their text is not kept, so they must be sent again to POST /v1/documents: {shown}"


def _outcome(file: FileResult, count: int | None) -> FileResult:
    if count is None:
        return _failed(file, NotFound("the document was deleted before it was embedded"))
    if count == 0:
        return _failed(file, DocumentUnreadable("the document has no text"))
    return replace(file, status="stored", chunks=count, embedded=file.characters)


def _failed(file: FileResult, error: Exception, *, retryable: bool = False) -> FileResult:
    return replace(file, status="failed", chunks=0, embedded=0, error=to_problem(error), retryable=retryable)
