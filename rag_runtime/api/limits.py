"""How much a caller may send: requests in a window, bytes in a body, and how slowly. Counts are this process's own."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_runtime.api.errors import plain_problem, refuse

MAX_TRACKED_CALLERS = 10_000
SMALL_BODY_BYTES = 1024 * 1024
# What uploads may hold of memory and disk together, as a multiple of the largest one allowed.
LARGEST_UPLOADS_AT_ONCE = 4
# A body may be as slow as this, after a first while: a phone on a train passes, one byte a second does not.
GRACE_SECONDS = 30.0
SLOWEST_BYTES_PER_SECOND = 1024


class RateLimiter:
    """A token bucket for each caller: `requests` at once, refilled over `window_seconds`. 0 requests = no limit."""

    def __init__(self, requests: int, window_seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(requests)
        self._rate = requests / window_seconds
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Count one request; how many seconds too early it is (0 = not)."""
        if not self._capacity:
            return 0.0
        now = self._clock()
        tokens, seen = self._buckets.pop(caller, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - seen) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[caller] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > MAX_TRACKED_CALLERS:
            self._buckets.popitem(last=False)
        return wait


@dataclass(slots=True)
class _Held:
    """What one upload has of the room for all."""

    bytes: int = 0


class BodyLimit:
    """Counts the real bytes of a body, as chunked ones declare no length, and cuts those that trickle.

    All uploads together have a limit too. What was received counts, not what was declared: else a few that never come
    would keep the others out.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        upload_bytes: int,
        grace_seconds: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._upload_bytes = upload_bytes
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._room = LARGEST_UPLOADS_AT_ONCE * upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_upload = scope["path"] == "/v1/documents"
        limit = self._upload_bytes if is_upload else SMALL_BODY_BYTES
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await refuse(scope, receive, send, plain_problem(413, _too_large(limit)), Connection="close")
            return
        held = _Held()
        try:
            await self._app(scope, self._counted(receive, limit, held if is_upload else None), send)
        finally:
            self._room += held.bytes

    def _hold(self, held: _Held, size: int) -> None:
        if size > self._room:
            raise HTTPException(503, "too much is being uploaded at once: try again later", {"Connection": "close"})
        self._room -= size
        held.bytes += size

    def _counted(self, receive: Receive, limit: int, held: _Held | None) -> Receive:
        begin, received, ended = self._clock(), 0, False

        async def counted() -> Message:
            nonlocal received, ended
            if ended:
                return await receive()
            left = begin + self._grace_seconds + received / SLOWEST_BYTES_PER_SECOND - self._clock()
            try:
                async with asyncio.timeout(max(0.0, left)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the body came too slowly", {"Connection": "close"}) from None
            received += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if received > limit:
                raise HTTPException(413, _too_large(limit), {"Connection": "close"})
            if held is not None:
                self._hold(held, len(message.get("body", b"")))
            return message

        return counted


def _too_large(limit: int) -> str:
    return f"the body is larger than the {limit} bytes allowed here: send less at once"
