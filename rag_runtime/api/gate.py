"""What stands before every route: a request's id, its log line and count, its key, its rate, and room for it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_runtime.api.errors import plain_problem, refuse
from rag_runtime.api.limits import RateLimiter
from rag_runtime.api.metrics import Metrics
from rag_runtime.api.security import ANONYMOUS_ADMIN, Key, KeyRing, is_open, presented_key, wanted_permissions
from rag_runtime.problems import to_problem

log = structlog.get_logger(__name__)

SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
CLIENT_WENT_AWAY = 499
MAX_IN_FLIGHT = 512


class RequestContext:
    """The outermost: names the request, writes its one line, and is the last to catch what nobody expected."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        sent = _Sent(send, request_id)
        begin = time.perf_counter()
        self._metrics.active.inc()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sent)
            except ClientDisconnect:
                sent.status = CLIENT_WENT_AWAY
            except Exception as unexpected:  # whatever it is, the caller gets a problem object and the log the rest
                log.exception("unexpected_error")
                if sent.status is not None:
                    raise
                await refuse(scope, receive, sent, to_problem(unexpected))
            finally:
                self._metrics.active.dec()
                self._note(scope, sent.status or CLIENT_WENT_AWAY, time.perf_counter() - begin)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.request(scope["method"], endpoint, status, seconds)
        caller: Key | None = scope["state"].get("caller")
        log.info(
            "request",
            method=scope["method"],
            endpoint=endpoint,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            caller=caller.name if caller else None,
        )


class _Sent:
    """Passes messages on, with the request's id, and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._request_id
        await self._send(message)


def _request_id(scope: Scope) -> str:
    given: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if SANE_REQUEST_ID.fullmatch(given) else uuid4().hex


class Gate:
    """Lets in who has a key, the permission, the rate and the room. Runs before a body is read."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing | None,
        limiter: RateLimiter,
        metrics: Metrics,
        origins: Collection[str] = (),
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._app = app
        self._origins = origins
        self._keys = keys
        self._limiter = limiter
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        key = self._caller(scope)
        peer = f"peer:{scope['client'][0] if scope.get('client') else 'unknown'}"
        counted = peer if key is None or key is ANONYMOUS_ADMIN else f"key:{key.name}"
        wait = self._limiter.take(counted)
        if wait:
            self._metrics.rate_limited()
            problem = plain_problem(429, f"too many requests: try again in {math.ceil(wait)} s")
            await refuse(scope, receive, send, problem, Retry_After=str(math.ceil(wait)))
        elif key is None:
            problem = plain_problem(401, "a valid key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
            await refuse(scope, receive, send, problem, WWW_Authenticate="Bearer")
        elif key is ANONYMOUS_ADMIN and self._is_from_elsewhere(scope):
            await refuse(scope, receive, send, plain_problem(403, "this origin is not one of CORS_ORIGINS"))
        elif not key.may(wanted_permissions(scope["method"], scope["path"])):
            await refuse(scope, receive, send, plain_problem(403, "this key has no scope for that"))
        elif self._in_flight >= self._max_in_flight:
            await refuse(scope, receive, send, plain_problem(503, "too many requests are being served: try again"))
        else:
            await self._let_in(key, scope, receive, send)

    def _caller(self, scope: Scope) -> Key | None:
        if self._keys is None:
            return ANONYMOUS_ADMIN
        presented = presented_key(scope["headers"])
        return self._keys.find(presented) if presented else None

    def _is_from_elsewhere(self, scope: Scope) -> bool:
        """Whether some other site's page sends it: browsers ask nobody before they send a form, also to loopback."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or origin in self._origins or "*" in self._origins:
            return False
        return origin.partition("://")[2] != headers.get(b"host", b"").decode("latin-1")

    async def _let_in(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["caller"] = key
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
