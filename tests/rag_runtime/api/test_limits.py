"""Rates, bytes and slowness."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from rag_runtime.api.limits import LARGEST_UPLOADS_AT_ONCE, MAX_TRACKED_CALLERS, BodyLimit, RateLimiter
from tests.rag_runtime.running import running


def test_a_bucket_empties_and_refills_for_each_caller_alone() -> None:
    now = 0.0
    limiter = RateLimiter(2, 60, clock=lambda: now)
    assert [limiter.take("a") for _ in range(3)] == [0.0, 0.0, 30.0]
    assert limiter.take("b") == 0.0
    now = 30.0
    assert [limiter.take("a"), limiter.take("a")] == [0.0, 30.0]


def test_zero_means_no_limit() -> None:
    limiter = RateLimiter(0, 60)
    assert {limiter.take("a") for _ in range(1000)} == {0.0}


def test_the_callers_it_remembers_are_bounded() -> None:
    limiter = RateLimiter(1, 60)
    for number in range(MAX_TRACKED_CALLERS + 50):
        limiter.take(str(number))
    assert len(limiter._buckets) == MAX_TRACKED_CALLERS


async def test_too_many_requests_are_429_with_the_seconds_to_wait() -> None:
    async with running({"rate_limit_requests": 2, "rate_limit_window": 60}) as service:
        responses = [await service.client.get("/v1/documents") for _ in range(3)]
        probes = [(await service.client.get("/livez")).status_code for _ in range(10)]
        metrics = (await service.client.get("/metrics")).text
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert 0 < int(responses[2].headers["retry-after"]) <= 60
    assert set(probes) == {200}
    assert "rag_rate_limited_requests_total 1.0" in metrics


async def test_a_body_that_trickles_is_cut() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await PlainTextResponse(str(len(body)))(scope, receive, send)

    limited = BodyLimit(app, upload_bytes=1000, grace_seconds=0.2)
    scope: Scope = {"type": "http", "path": "/v1/query", "headers": [], "method": "POST"}
    with pytest.raises(HTTPException) as cut:
        await limited(scope, _trickle, _nowhere)
    assert cut.value.status_code == 408


async def test_uploads_together_have_a_limit_and_give_their_room_back() -> None:
    received, go = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        received.set()
        await go.wait()

    async def whole() -> Message:
        return {"type": "http.request", "body": b"x" * 1000, "more_body": False}

    limited = BodyLimit(app, upload_bytes=1000)
    scope: Scope = {"type": "http", "path": "/v1/documents", "headers": [], "method": "POST"}
    held = [asyncio.create_task(limited(scope, whole, _nowhere)) for _ in range(LARGEST_UPLOADS_AT_ONCE)]
    await received.wait()
    with pytest.raises(HTTPException) as refused:
        await limited(scope, whole, _nowhere)
    go.set()
    await asyncio.gather(*held)
    await limited(scope, whole, _nowhere)
    assert refused.value.status_code == 503


async def _trickle() -> Message:
    await asyncio.sleep(0.05)
    return {"type": "http.request", "body": b"x", "more_body": True}


async def _nowhere(_: Message) -> None:
    """Nobody listens."""
