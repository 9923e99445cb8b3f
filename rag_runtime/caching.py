"""Answers and hits that were given before, as long as nothing has changed that they could rest on.

A replica reads the index's version at most once a second, so another replica's change is seen a second later at most;
its own changes count at once, whatever the version says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar, cast

from cachetools import TTLCache

from rag_runtime.answer import Answerer, Asked
from rag_runtime.calling import LastCall
from rag_runtime.domain import Answer, AnswerEvent, Filter, Tokens
from rag_runtime.retrieve import Retrieved, Retriever

VERSION_READ_SECONDS = 1.0

Result = TypeVar("Result")


class ResponseCache:
    """With `max_entries` 0 it keeps nothing, asks for nothing and counts nothing."""

    def __init__(
        self,
        read_version: Callable[[], Awaitable[int]],
        *,
        max_entries: int,
        ttl_seconds: float,
        on_hit: Callable[[], None] = lambda: None,
        on_miss: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_version = read_version
        self._entries: TTLCache[object, object] = TTLCache(max_entries, ttl_seconds, timer=clock)
        self._on_hit, self._on_miss, self._clock = on_hit, on_miss, clock
        self._reading = asyncio.Lock()
        self._version: int | None = None
        self._read_at = 0.0
        self._own_changes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def note_change(self) -> None:
        """This replica has changed what a search finds; what is being made now may not have seen it."""
        self._own_changes += 1
        self.drop()

    def drop(self) -> None:
        self._entries.clear()

    async def find(
        self, request: object, make: Callable[[], Awaitable[Result]], *, keep: Callable[[Result], bool] = lambda _: True
    ) -> tuple[Result, bool]:
        """What the request was answered with before, or is now; and whether it was before."""
        if not self._entries.maxsize:
            return await make(), False
        # Read before the search: what changes meanwhile makes the entry older than its key, never newer.
        key = (await self._current_version(), self._own_changes, request)
        found = self._entries.get(key)
        if found is not None:
            self._on_hit()
            # Of one request, so of one kind.
            return cast("Result", found), True
        self._on_miss()
        made = await make()
        if keep(made) and key[1] == self._own_changes:
            self._entries[key] = made
        return made, False

    async def _current_version(self) -> int:
        if self._version is None or self._is_due():
            async with self._reading:
                if self._version is None or self._is_due():
                    await self._refresh()
        assert self._version is not None  # noqa: S101 - it has just been read
        return self._version

    async def _refresh(self) -> None:
        began = self._clock()
        version = await self._read_version()
        if version != self._version:
            self.drop()
        self._version, self._read_at = version, began

    def _is_due(self) -> bool:
        return self._clock() - self._read_at >= VERSION_READ_SECONDS


class CachedRetriever:
    def __init__(self, inner: Retriever, cache: ResponseCache) -> None:
        self._inner = inner
        self._cache = cache

    async def retrieve(
        self, query: str, *, top_k: int, explain: bool = False, filter_: Filter | None = None
    ) -> Retrieved:
        begin = time.perf_counter()
        found, before = await self._cache.find(
            ("hits", _normalized(query), top_k, explain, repr(filter_)),
            lambda: self._inner.retrieve(query, top_k=top_k, explain=explain, filter_=filter_),
        )
        return replace(found, timings_ms={"cache": _since(begin)}) if before else found


class CachedAnswerer:
    """A degraded answer is not kept, and a stream is always a new one."""

    def __init__(self, inner: Answerer, cache: ResponseCache) -> None:
        self._inner = inner
        self._cache = cache

    @property
    def last_call(self) -> LastCall:
        return self._inner.last_call

    async def answer(self, asked: Asked) -> Answer:
        begin = time.perf_counter()
        # Its representation, because a filter for true equals one for 1 and means another.
        request = repr(replace(asked, question=_normalized(asked.question)))
        answer, before = await self._cache.find(
            ("answer", request), lambda: self._inner.answer(asked), keep=lambda made: not made.degraded
        )
        if not before:
            return answer
        took = _since(begin)
        return replace(answer, timings_ms={"cache": took, "total": took}, tokens=Tokens())

    def stream(self, asked: Asked) -> AsyncGenerator[AnswerEvent, None]:
        return self._inner.stream(asked)


def _normalized(text: str) -> str:
    return " ".join(text.split())


def _since(begin: float) -> float:
    return round((time.perf_counter() - begin) * 1000, 3)
