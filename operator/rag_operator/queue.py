"""A queue of keys: each waits once, is worked on by one worker at a time, and comes back later when it failed.

It knows nothing of pipelines or of Kubernetes.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from rag_operator import metrics
from rag_operator.errors import ApiError, Forbidden, Rejected

K = TypeVar("K")

BACKOFF_FIRST_SECONDS, BACKOFF_CAP_SECONDS, JITTER = 1.0, 60.0, 0.2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Again:
    """How a visit ended: to be repeated with growing pauses, after a time, or when something happens."""

    failed: bool = False
    after_seconds: float | None = None


DONE = Again()
RETRY = Again(failed=True)


class WorkQueue(Generic[K]):
    """Not safe for threads: for the tasks of one event loop."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0
        self._changed = asyncio.Event()
        self._failures: dict[K, int] = {}
        self._started: dict[K, float] = {}
        self._closed = False

    def add(self, key: K, *, after_seconds: float = 0.0) -> None:
        """Wait for its turn; one that waits already keeps the earlier time."""
        due = _now() + after_seconds
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, key))
        self._changed.set()

    async def take(self) -> K:
        """The next key that is due and that nobody works on."""
        while True:
            key, wait = self._next()
            if key is not None:
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K, again: Again) -> None:
        self._started.pop(key, None)
        if again.failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self.add(key, after_seconds=backoff_seconds(self._failures[key]))
        else:
            self._failures.pop(key, None)
            if again.after_seconds is not None:
                self.add(key, after_seconds=again.after_seconds)
        self._changed.set()

    async def settle(self) -> None:
        """Hand out no more keys, and return when those in work are done."""
        self._closed = True
        while self._started:
            self._changed.clear()
            await self._changed.wait()

    def longest_run_seconds(self) -> float:
        """How long the oldest visit under way has taken."""
        now = _now()
        return max((now - since for since in self._started.values()), default=0.0)

    def measure(self) -> None:
        overdue = [_now() - due for due in self._due.values() if due <= _now()]
        metrics.QUEUE_DEPTH.set(len(overdue))
        metrics.QUEUE_OLDEST_SECONDS.set(max(overdue, default=0.0))

    def _next(self) -> tuple[K | None, float | None]:
        """A key to work on, or how long until one could be due; those in work are set aside and wait for `done`."""
        aside, found, wait = [], None, None
        while self._heap and not self._closed:
            due, order, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
                continue
            if due > _now():
                wait = due - _now()
                break
            heapq.heappop(self._heap)
            if key in self._started:
                aside.append((due, order, key))
                continue
            del self._due[key]
            self._started[key] = _now()
            found = key
            break
        for entry in aside:
            heapq.heappush(self._heap, entry)
        return found, wait


async def work(queue: WorkQueue[K], visit: Callable[[K], Awaitable[Again]], *, deadline_seconds: float) -> None:
    """One worker, until it is cancelled."""
    while True:
        key = await queue.take()
        with metrics.RECONCILE_SECONDS.time():
            again = await _visit(key, visit, deadline_seconds)
        metrics.RECONCILES.labels("retry" if again.failed else "done").inc()
        queue.done(key, again)


async def _visit(key: K, visit: Callable[[K], Awaitable[Again]], deadline_seconds: float) -> Again:
    try:
        async with asyncio.timeout(deadline_seconds):
            return await visit(key)
    except (Forbidden, Rejected) as refused:
        log.warning("refused", key=str(key), error=str(refused))
    except ApiError as away:
        log.info("try again", key=str(key), error=str(away))
    except TimeoutError:
        log.warning("took too long", key=str(key), deadline_seconds=deadline_seconds)
    except Exception:
        # A defect that one pipeline brings to light must not stop the work on all others.
        log.exception("failed", key=str(key))
    return RETRY


def backoff_seconds(failures: int) -> float:
    pause = min(BACKOFF_CAP_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
    return pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, keeps no secret


def _now() -> float:
    return asyncio.get_running_loop().time()
