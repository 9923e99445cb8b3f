"""The one way to a server: each call named, tried as often as its kind allows, its failures translated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from qdrant_client import AsyncQdrantClient

from rag_runtime.adapters.server.faults import CLIENT_ERRORS, fault
from rag_runtime.errors import StoreRejected

Result = TypeVar("Result")

_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    api_key: str | None = None
    timeout: float = 30.0
    prefer_grpc: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a write is tried again, and the first pause, which then doubles."""

    retries: int = 5
    backoff_base: float = 1.0
    on_retry: Callable[[], None] = lambda: None

    def pause(self, attempt: int, *, at_least: float) -> float:
        """Seconds to wait after the failed `attempt` (from 0); up to half is left to chance, so that many spread."""
        step: float = self.backoff_base * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311
        return min(max(step, at_least), max(_LONGEST_PAUSE_SECONDS, at_least))


# A connection that was kept alive may be found closed at the next use: one more try, at once.
ONCE_MORE = Patience(retries=1, backoff_base=0.05)


class Connection:
    def __init__(self, address: Address, patience: Patience) -> None:
        self.client = _client(address)
        self._where = urlsplit(address.url).netloc.rpartition("@")[2] or address.url
        self._patience = patience

    async def close(self) -> None:
        await self.client.close()

    async def read(self, doing: str, call: Callable[[], Awaitable[Result]]) -> Result:
        return await self._try(doing, call, ONCE_MORE)

    async def write(self, doing: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """Only for what may be done twice: a write that timed out may have happened."""
        return await self._try(doing, call, self._patience)

    async def _try(self, doing: str, call: Callable[[], Awaitable[Result]], patience: Patience) -> Result:
        attempt = 0
        while True:
            try:
                return await call()
            except CLIENT_ERRORS as error:
                failure = fault(error, doing=doing, where=self._where)
                if not failure.passing or attempt >= patience.retries:
                    raise failure.error from error
            patience.on_retry()
            await asyncio.sleep(patience.pause(attempt, at_least=failure.after))
            attempt += 1


def _client(address: Address) -> AsyncQdrantClient:
    try:
        return AsyncQdrantClient(
            url=address.url,
            timeout=max(1, round(address.timeout)),
            prefer_grpc=address.prefer_grpc,
            # As a header, because `api_key` warns at every http:// URL, and inside a cluster that is the usual one.
            headers={"api-key": address.api_key} if address.api_key else None,
            # It asks in a thread of its own and only prints; `open` asks for the version itself and refuses.
            check_compatibility=False,
            # The client's default keeps no connection to localhost alive.
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
        )
    except ValueError as problem:
        raise StoreRejected(f"QDRANT_URL cannot be used: {problem}; it looks like http://qdrant:6333") from problem
