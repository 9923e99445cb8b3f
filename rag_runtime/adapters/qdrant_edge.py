"""The embedded store, seen from the event loop: it starts the store's process, asks it and restarts it.

Holds no engine and touches no file of the store; all of that is `edge`, in the other process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import rag_runtime
from rag_runtime.adapters import indexes
from rag_runtime.adapters.edge.frames import Reply, Request, Unpacker, pack
from rag_runtime.adapters.edge.opening import Opening
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Feedback, Hit, Job
from rag_runtime.errors import RagError, StoreUnavailable
from rag_runtime.ports import IndexSpec, Search

# Replaying a long log after a kill takes seconds; no healthy opening takes longer than this.
_OPEN_SECONDS = 120.0
_ANSWER_SECONDS = 30.0
_CLOSE_SECONDS = 30.0
_RESTART_PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
# The child needs no secret, so it gets none: only what finds libraries and sets their threads and language.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")


class QdrantEdge:
    """A ChunkStore in a folder of this machine. One process at a time may hold the folder."""

    def __init__(
        self,
        spec: IndexSpec,
        data_dir: Path,
        *,
        owner: str = "",
        adopt: bool = False,
        tuning: Tuning | None = None,
        disk_reserve_mb: int = 128,
    ) -> None:
        self._spec = spec
        self._opening = Opening(
            spec=spec,
            data_dir=data_dir.absolute(),
            owner=owner,
            adopt=adopt,
            tuning=tuning or Tuning(),
            disk_reserve_bytes=disk_reserve_mb << 20,
        )
        self._child: _Child | None = None
        self._revival: asyncio.Task[None] | None = None
        self._closing = False
        self._why_not = "it is not open"

    async def open(self) -> None:
        indexes.index_name(self._spec)
        self._closing = False
        self._child = await _Child.start(self._opening, on_lost=self._lost)

    async def close(self) -> None:
        self._closing = True
        self._why_not = "it is closed"
        if self._revival:
            self._revival.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._revival
        if self._child:
            await self._child.stop()
            self._child = None

    @property
    def process_id(self) -> int | None:
        """The store's process, for diagnosis; None while there is none."""
        return self._child.process_id if self._child else None

    async def ping(self) -> None:
        await self._ask("ping")

    async def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        indexes.check_vectors(self._spec, chunks)
        if chunks:
            await self._ask("stage", list(chunks))

    async def publish(self, document_id: DocumentId, content_hash: str) -> int:
        return int(await self._ask("publish", document_id, content_hash))

    async def search(self, search: Search) -> list[Hit]:
        hits: list[Hit] = await self._ask("search", search)
        return hits

    async def count(self) -> int:
        return int(await self._ask("count"))

    async def version(self) -> int:
        return int(await self._ask("version"))

    async def put_documents(self, documents: Sequence[Document]) -> None:
        await self._ask("put_documents", list(documents))

    async def get_document(self, document_id: DocumentId) -> Document | None:
        document: Document | None = await self._ask("get_document", document_id)
        return document

    async def kept_version(self, document_id: DocumentId) -> str | None:
        version: str | None = await self._ask("kept_version", document_id)
        return version

    async def list_documents(self, *, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
        page: tuple[list[Document], str | None] = await self._ask("list_documents", limit, after)
        return page

    async def delete_document(self, document_id: DocumentId) -> bool:
        return bool(await self._ask("delete_document", document_id))

    async def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        version: tuple[str, int] | None = await self._ask("published_version", document_id)
        return version

    async def put_job(self, job: Job) -> None:
        await self._ask("put_job", job)

    async def get_job(self, job_id: str) -> Job | None:
        job: Job | None = await self._ask("get_job", job_id)
        return job

    async def claim_job(self, *, owner: str, now: float, lease_seconds: float) -> Job | None:
        job: Job | None = await self._ask("claim_job", owner, now, lease_seconds)
        return job

    async def expire_jobs(self, *, before: float, keep: int) -> None:
        await self._ask("expire_jobs", before, keep)

    async def put_feedback(self, feedback: Feedback) -> None:
        await self._ask("put_feedback", feedback)

    async def list_feedback(self, *, limit: int, after: str | None = None) -> tuple[list[Feedback], str | None]:
        page: tuple[list[Feedback], str | None] = await self._ask("list_feedback", limit, after)
        return page

    async def _ask(self, method: str, *arguments: object) -> Any:
        if self._child is None:
            raise StoreUnavailable(f"The embedded store does not answer: {self._why_not}")
        return await self._child.ask(method, *arguments)

    def _lost(self) -> None:
        """The child is gone: say so to whoever asks, and start another."""
        if self._closing:
            return
        if self._child:
            # The socket is closed; a process that lived on without it would keep the lock.
            self._child.kill()
            self._child = None
        self._why_not = "its process ended and is being restarted"
        self._revival = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        for attempt in count():
            await asyncio.sleep(_RESTART_PAUSES[min(attempt, len(_RESTART_PAUSES) - 1)])
            try:
                self._child = await _Child.start(self._opening, on_lost=self._lost)
            except RagError as refusal:
                self._why_not = f"its process cannot be restarted: {refusal}"
            else:
                return


class _Child:
    """One process of the store and the channel to it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: _Channel) -> None:
        self._process = process
        self._channel = channel
        self.process_id = process.pid

    @classmethod
    async def start(cls, opening: Opening, *, on_lost: Callable[[], None]) -> _Child:
        """Raise what the child says when it cannot open the store."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rag_runtime.adapters.edge.worker", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except OSError as problem:
            ours.close()
            raise StoreUnavailable(f"The embedded store's process cannot be started: {problem}") from problem
        finally:
            theirs.close()
        _, channel = await asyncio.get_running_loop().create_connection(_Channel, sock=ours)
        child = cls(process, channel)
        try:
            await child.ask("open", opening, seconds=_OPEN_SECONDS)
        except BaseException:
            await child.stop()
            raise
        channel.report_loss_to(on_lost)
        return child

    async def ask(self, method: str, *arguments: object, seconds: float = _ANSWER_SECONDS) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._channel.ask(method, arguments)
        except TimeoutError:
            raise StoreUnavailable(f"The embedded store did not answer {method} within {seconds:g} s") from None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """Hang up: the child then flushes, closes and ends; one that does not is killed."""
        self._channel.hang_up()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


class _Channel(asyncio.Protocol):
    """Requests out and replies in, many at a time; requests of one turn of the loop go out together."""

    def __init__(self) -> None:
        self._on_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._unpacker = Unpacker()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ids = count()
        self._unsent: list[bytes] = []

    async def ask(self, method: str, arguments: tuple[object, ...]) -> Any:
        if self._transport is None:
            raise StoreUnavailable("The embedded store's process has ended")
        request = Request(next(self._ids), method, arguments)
        loop = asyncio.get_running_loop()
        if not self._unsent:
            loop.call_soon(self._send)
        self._unsent.append(pack(request))
        reply = self._waiting[request.id] = loop.create_future()
        try:
            return await reply
        finally:
            del self._waiting[request.id]

    def report_loss_to(self, on_lost: Callable[[], None]) -> None:
        if self._transport is None:
            raise StoreUnavailable("The embedded store's process ended as soon as it was open")
        self._on_lost = on_lost

    def hang_up(self) -> None:
        self._on_lost = None
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for message in self._unpacker.feed(data):
            reply = Reply(*message)
            future = self._waiting.get(reply.id)
            if future is None or future.done():
                continue
            if reply.error is not None:
                future.set_exception(reply.error)
            else:
                future.set_result(reply.value)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(StoreUnavailable("The embedded store's process ended before it answered"))
        if self._on_lost:
            self._on_lost()

    def _send(self) -> None:
        if self._transport and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package = str(Path(rag_runtime.__file__).parents[1])
    paths = [package, *filter(None, passed_on.get("PYTHONPATH", "").split(os.pathsep))]
    return passed_on | {"PYTHONPATH": os.pathsep.join(paths)}
