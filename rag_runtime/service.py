"""A started runtime: what the routes call, and how it comes up and goes down. It knows ports, and no library."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from rag_runtime.caching import CachedAnswerer, CachedRetriever
from rag_runtime.errors import Misconfigured, Overloaded, StoreUnavailable
from rag_runtime.ingest import Ingester
from rag_runtime.jobs import JobRunner
from rag_runtime.ports import ChunkStore, Embedder, Generator

log = structlog.get_logger(__name__)

STORE_RETRY_SECONDS = 2.0
FIRST_REQUEST_SECONDS = 60.0
# What streams leave of the time for an end, so that their last words get out.
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """The three pipelines, and the ports that they and the probes share."""

    embedder: Embedder
    store: ChunkStore
    generator: Generator | None
    runner: JobRunner
    ingester: Ingester
    retriever: CachedRetriever
    answerer: CachedAnswerer
    close_others: Callable[[], Awaitable[None]]
    model_bytes: Mapping[str, int] = field(default_factory=dict)
    drop_caches: Callable[[], None] = lambda: None


class Runtime:
    """Starts in the background, so that the process answers its liveness probe while models load.

    Without `preload` it starts at the first request. `on_fatal` is called when it never can.
    """

    def __init__(self, build: Callable[[], Service], *, preload: bool = True, grace_seconds: float = 25.0) -> None:
        self._build = build
        self._preload = preload
        self._patience = max(grace_seconds - LAST_WORDS_SECONDS, grace_seconds / 2)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.on_fatal: Callable[[Exception], None] = lambda _: None
        self._service: Service | None = None
        self._starting: asyncio.Task[None] | None = None
        self.started = asyncio.Event()
        # Set when streams that still run must say that they are cut off.
        self.ending = asyncio.Event()
        self.stopping = False

    @property
    def service(self) -> Service:
        """Raises Overloaded until models are loaded and the store is open."""
        if self._service is None:
            raise Overloaded("the service is starting: try again in a moment")
        return self._service

    @property
    def is_started(self) -> bool:
        return self._service is not None

    @property
    def is_ready(self) -> bool:
        return not self.stopping and (self.is_started or not self._preload)

    def drop_caches(self) -> None:
        """Give back what can be made again; for when memory is short."""
        if self._service is not None:
            self._service.drop_caches()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._preload:
            self._begin()

    async def serving(self) -> Service:
        """The service, started first where nobody has asked for it yet."""
        if self._service is None and not self._preload and not self.stopping:
            self._begin()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_REQUEST_SECONDS):
                    await self.started.wait()
        return self.service

    def _begin(self) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="start")

    def drain(self) -> None:
        """Take no new documents and say so to the readiness probe; what runs goes on. A signal's handler may call."""
        if self._loop is not None and not self.stopping:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._patience, self.ending.set)
        self.stopping = True
        if self._service is not None:
            self._service.runner.refuse()

    async def stop(self) -> None:
        self.drain()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._service is not None:
            await self._service.runner.stop()
            await self._service.store.close()
            await self._service.close_others()

    async def _start(self) -> None:
        try:
            service = await asyncio.to_thread(self._build)
            await _open(service.store)
        except Exception as fatal:  # anything here means that the service can never work: say it and end
            if not isinstance(fatal, Misconfigured):
                log.exception("start_failed")
            self.on_fatal(fatal)
            return
        service.runner.start()
        self._service = service
        self.started.set()
        log.info("started", model=service.embedder.model)


async def _open(store: ChunkStore) -> None:
    """A store that is not there yet is waited for: in a cluster it may start after us."""
    while True:
        try:
            await store.open()
        except StoreUnavailable as later:
            log.warning("store_not_there", reason=str(later))
            await asyncio.sleep(STORE_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
        else:
            return
