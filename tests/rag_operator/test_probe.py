"""The operator's questions to a runtime: what each answer means, and that a slow one holds nobody up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from rag_operator import probe
from rag_operator.names import Key
from rag_operator.probe import Prober, Target
from rag_operator.state import Probed, Problem, Reason

HANDBOOK = Key("team", "handbook")
TARGET = Target("http://handbook.team.svc", "operator-key")
DOWN = {"database": {"status": "failing", "error": "no route to the store"}}
NO_MODEL = {"embeddings": {"status": "failing", "error": "no memory"}}
FULL = {"disk": {"status": "failing", "error": "less than 128 MB are free under DATA_DIR"}}
NO_LLM = {"llm": {"status": "failing", "error": "quota"}}


@pytest.mark.parametrize(
    ("status", "answer", "checks", "expected"),
    [
        (200, {"hits": []}, {}, Probed()),
        (200, {"hits": []}, NO_LLM, Probed()),
        (200, {"hits": []}, FULL, Probed(disk="less than 128 MB are free under DATA_DIR")),
        (429, None, {}, Probed()),
        (
            503,
            {"detail": "x"},
            DOWN,
            Probed(
                failing=Problem(Reason.VECTOR_STORE_UNAVAILABLE, "a question fails at database: no route to the store")
            ),
        ),
        (
            500,
            {"detail": "x"},
            NO_MODEL,
            Probed(failing=Problem(Reason.PROBE_FAILING, "a question fails at embeddings: no memory")),
        ),
        (
            504,
            {"detail": "no answer\nin time"},
            {},
            Probed(failing=Problem(Reason.PROBE_FAILING, "a question fails: no answer in time")),
        ),
        (401, {"detail": "key"}, {}, Probed(unreached="the runtime does not know the operator's key yet")),
        (502, None, {}, Probed(unreached="something else than the runtime answers, with status 502")),
        (200, [], {"disk": "odd"}, Probed()),
    ],
)
def test_what_an_answer_means(status: int, answer: Any, checks: dict[str, Any], expected: Probed) -> None:
    assert probe.judge(status, answer, checks) == expected


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def asking(handler: Handler, *, period: float = 0.2) -> AsyncIterator[tuple[Prober, asyncio.Queue[Key]]]:
    """A prober at work; the handler stands where all Services are reached."""
    told: asyncio.Queue[Key] = asyncio.Queue()
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with probe.connect() as session:
        prober = Prober(session, told.put_nowait, period_seconds=period, proxy=f"http://{host}:{port}")
        working = asyncio.create_task(prober.run())
        yield prober, told
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    await runner.cleanup()


async def runtime(request: web.BaseRequest, points: int = 7) -> web.Response:
    if request.path == "/health":
        return web.json_response({"status": "ok", "checks": {"disk": {"status": "ok", "error": None}}})
    if request.headers.get("Authorization") != "Bearer operator-key":
        return web.json_response({"detail": "no"}, status=401)
    if request.path == "/v1/config":
        return web.json_response({"points": points})
    assert json.loads(await request.text())["top_k"] == 1
    return web.json_response({"hits": []})


async def test_it_asks_through_the_service_and_counts_the_points() -> None:
    hosts = set()

    async def handler(request: web.BaseRequest) -> web.Response:
        hosts.add(request.host)
        return await runtime(request)

    async with asking(handler) as (prober, told):
        prober.want(HANDBOOK, TARGET)
        assert await told.get() == HANDBOOK
        assert prober.found(HANDBOOK) == Probed(points=7)
    assert hosts == {"handbook.team.svc"}


async def test_only_a_change_is_told() -> None:
    asked = asyncio.Semaphore(0)

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.path == "/v1/retrieve":
            asked.release()
        return await runtime(request)

    async with asking(handler, period=0.05) as (prober, told):
        prober.want(HANDBOOK, TARGET)
        for _ in range(4):
            await asked.acquire()
        assert told.qsize() == 1


async def test_a_runtime_that_fails_and_heals_is_told_twice() -> None:
    broken = True

    async def handler(request: web.BaseRequest) -> web.Response:
        if broken and request.path == "/v1/retrieve":
            return web.json_response({"detail": "the vector store does not answer"}, status=503)
        return await runtime(request)

    async with asking(handler, period=0.05) as (prober, told):
        prober.want(HANDBOOK, TARGET)
        await told.get()
        found = prober.found(HANDBOOK)
        assert found
        assert found.failing == Problem(Reason.PROBE_FAILING, "a question fails: the vector store does not answer")
        broken = False
        await told.get()
        assert prober.found(HANDBOOK) == Probed(points=7)


async def test_one_that_is_forgotten_is_asked_no_more() -> None:
    async with asking(runtime) as (prober, told):
        prober.want(HANDBOOK, TARGET)
        await told.get()
        prober.want(HANDBOOK, None)
        assert prober.found(HANDBOOK) is None


async def test_nobody_there_is_unreached_and_no_failure() -> None:
    async with probe.connect() as session:
        told: asyncio.Queue[Key] = asyncio.Queue()
        prober = Prober(session, told.put_nowait, period_seconds=60)
        working = asyncio.create_task(prober.run())
        prober.want(HANDBOOK, Target("http://127.0.0.1:9", "operator-key"))
        await told.get()
        found = prober.found(HANDBOOK)
        assert found
        assert found.failing is None
        assert "cannot be asked from here" in (found.unreached or "")
        assert "operator-key" not in str(found)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_slow_ones_delay_the_others_by_no_more_than_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """All places but one are taken by runtimes that never answer."""
    released = asyncio.Event()
    monkeypatch.setattr(probe, "TIMEOUT_SECONDS", 3.0)

    async def handler(request: web.BaseRequest) -> web.Response:
        if request.host.startswith("slow"):
            await released.wait()
        return await runtime(request)

    async with asking(handler) as (prober, told):
        for number in range(probe.CONCURRENCY - 1):
            prober.want(Key("team", f"slow-{number}"), Target(f"http://slow-{number}", "operator-key"))
        prober.want(HANDBOOK, TARGET)
        assert await told.get() == HANDBOOK
        slow = await told.get()
        found = prober.found(slow)
        assert found
        assert "gave no answer in 3 s" in (found.unreached or "")


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_trusts_nobody_more_than_the_machine_does(text: str) -> None:
    assert probe.pinned(text) is True


def test_a_key_is_in_no_representation() -> None:
    assert "operator-key" not in repr(TARGET)
