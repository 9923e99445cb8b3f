"""A question to hits: embed it as a query, search once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rag_runtime.domain import Filter, Hit
from rag_runtime.ports import ChunkStore, Embedder, Search


@dataclass(frozen=True, slots=True)
class Retrieved:
    hits: Sequence[Hit]
    timings_ms: Mapping[str, float]


class Retriever:
    """Raises TimeoutError when both steps together take longer than `timeout_seconds`."""

    def __init__(
        self,
        embedder: Embedder,
        store: ChunkStore,
        *,
        score_floor: float = 0.0,
        timeout_seconds: float = 30.0,
        on_hits: Callable[[Sequence[Hit]], None] = lambda _: None,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._score_floor = score_floor
        self._timeout_seconds = timeout_seconds
        self._on_hits = on_hits

    async def retrieve(
        self, query: str, *, top_k: int, explain: bool = False, filter_: Filter | None = None
    ) -> Retrieved:
        begin = time.perf_counter()
        async with asyncio.timeout(self._timeout_seconds):
            vectors = await self._embedder.embed_query(query)
            embedded = time.perf_counter()
            hits = await self._store.search(
                Search(
                    vectors,
                    top_k,
                    candidates=max(100, top_k),
                    score_floor=self._score_floor,
                    explain=explain,
                    filter=filter_,
                )
            )
        searched = time.perf_counter()
        self._on_hits(hits)
        return Retrieved(hits, {"embed": (embedded - begin) * 1000, "search": (searched - embedded) * 1000})
