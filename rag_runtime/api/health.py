"""Dependencies looked at in the background; probes read the last result, and liveness depends on none of them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import JSONResponse

from rag_runtime.api import memory as memory_held
from rag_runtime.caching import CachedAnswerer
from rag_runtime.errors import RagError
from rag_runtime.ports import Embedder, Generator
from rag_runtime.service import Runtime

CHECK_TIMEOUT_SECONDS = 10.0
# While something is down, it is looked at more often than in good times.
ANXIOUS_SECONDS = 2.0
SHORTEST_PAUSE_SECONDS = 0.5
# What the embedded store keeps in reserve: below it nothing more is stored.
MIN_FREE_DISK_BYTES = 128 * 1024 * 1024

Probe = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    status: str
    latency_ms: float
    error: str | None = None


class Failing(Exception):
    """What a probe found, in a few words."""


class Monitor:
    """Runs every probe at an interval, and at once when told that something failed."""

    def __init__(self, probes: Mapping[str, Probe], interval_seconds: float) -> None:
        self._probes = probes
        self._interval = interval_seconds
        self._poked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.checks: dict[str, Check] = {}

    def start(self, *, after: asyncio.Event) -> None:
        self._task = asyncio.create_task(self._run(after), name="health")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def poke(self) -> None:
        self._poked.set()

    async def look(self) -> None:
        results = await asyncio.gather(*(_checked(probe) for probe in self._probes.values()))
        self.checks = dict(zip(self._probes, results, strict=True))

    async def _run(self, after: asyncio.Event) -> None:
        await after.wait()
        while True:
            await self.look()
            failing = any(check.status != "ok" for check in self.checks.values())
            self._poked.clear()
            with contextlib.suppress(TimeoutError):
                pause = min(self._interval, ANXIOUS_SECONDS) if failing else self._interval
                async with asyncio.timeout(pause):
                    await self._poked.wait()
            await asyncio.sleep(SHORTEST_PAUSE_SECONDS)


async def _checked(probe: Probe) -> Check:
    begin = time.perf_counter()
    error = None
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await probe()
    except (RagError, Failing) as failed:
        error = str(failed)
    except TimeoutError:
        error = "no answer in time"
    except Exception as failed:  # a probe must report, whatever it met
        error = type(failed).__name__
    return Check("failing" if error else "ok", round((time.perf_counter() - begin) * 1000, 2), error)


def probes(runtime: Runtime, *, data_dir: Path, memory_threshold_mb: int) -> dict[str, Probe]:
    async def database() -> None:
        await runtime.service.store.ping()

    async def embeddings() -> None:
        await _embeds(runtime.service.embedder)

    async def llm() -> None:
        if runtime.service.generator is not None:
            await _llm(runtime.service.generator, runtime.service.answerer)

    async def memory() -> None:
        if memory_held.is_over(memory_threshold_mb):
            runtime.drop_caches()
            raise Failing(f"above MEMORY_THRESHOLD_MB={memory_threshold_mb}")

    async def disk() -> None:
        if await asyncio.to_thread(_free_bytes, data_dir) < MIN_FREE_DISK_BYTES:
            raise Failing("less than 128 MB are free under DATA_DIR")

    return {"database": database, "embeddings": embeddings, "llm": llm, "memory": memory, "disk": disk}


async def _embeds(embedder: Embedder) -> None:
    vectors = await embedder.embed_query("health")
    if vectors.dense.shape != (embedder.dense_size,):
        raise Failing("the embedding model gives vectors of another size")


async def _llm(generator: Generator, answerer: CachedAnswerer) -> None:
    """The outcome of the last real call; before there was one, a free lookup."""
    if answerer.last_call.at is None:
        await generator.check()
    elif answerer.last_call.error:
        raise Failing(answerer.last_call.error)


def _free_bytes(folder: Path) -> int:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def build_router(runtime: Runtime, monitor: Monitor) -> APIRouter:
    router = APIRouter(tags=["operation"])

    @router.get("/livez", summary="The process runs")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready", summary="Requests can be served")
    async def ready() -> JSONResponse:
        reason = _not_ready(runtime, monitor)
        if reason:
            return JSONResponse({"status": "not ready", "reason": reason}, 503, {"Retry-After": "2"})
        return JSONResponse({"status": "ready"})

    @router.get("/health", summary="Every dependency, as it was found last")
    async def health() -> JSONResponse:
        checks = monitor.checks
        status = _status(runtime, checks)
        body = {
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "checks": {
                name: {"status": check.status, "latency_ms": check.latency_ms, "error": check.error}
                for name, check in checks.items()
            },
        }
        return JSONResponse(body, 503 if status in ("starting", "stopping", "unavailable") else 200)

    return router


def _is_store_down(checks: Mapping[str, Check]) -> bool:
    return "database" in checks and checks["database"].status != "ok"


def _not_ready(runtime: Runtime, monitor: Monitor) -> str | None:
    if runtime.stopping:
        return "stopping"
    if not runtime.is_ready:
        return "starting"
    return "the vector store does not answer" if _is_store_down(monitor.checks) else None


def _status(runtime: Runtime, checks: Mapping[str, Check]) -> str:
    if not runtime.is_ready:
        return "stopping" if runtime.stopping else "starting"
    if _is_store_down(checks):
        return "unavailable"
    return "ok" if all(check.status == "ok" for check in checks.values()) else "degraded"
