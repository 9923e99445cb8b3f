"""Health over HTTP: alive while the loop turns and visits end, ready when told, and the series that dashboards use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from rag_operator import health
from rag_operator.health import Health
from tests.cluster.ports import free_ports


@asynccontextmanager
async def served(state: Health) -> AsyncIterator[aiohttp.ClientSession]:
    (port,) = free_ports(1)
    async with health.serve(state, port=port), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


def quiet() -> Health:
    return Health(longest_run_seconds=lambda: 0.0, deadline_seconds=60)


async def status_of(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as response:
        return response.status


async def test_it_is_alive_before_it_is_ready() -> None:
    state = quiet()
    async with served(state) as session:
        assert (await status_of(session, "/livez"), await status_of(session, "/readyz")) == (200, 503)
        state.ready = True
        assert await status_of(session, "/readyz") == 200


async def test_a_visit_that_never_ends_is_told() -> None:
    async with served(Health(longest_run_seconds=lambda: 181.0, deadline_seconds=60)) as session:
        assert await status_of(session, "/livez") == 500


async def test_a_loop_that_was_held_is_told() -> None:
    state = quiet()
    health.LAG_SECONDS, kept = 0.2, health.LAG_SECONDS
    try:
        async with served(state):
            await asyncio.sleep(0.1)
            time.sleep(1.5)  # noqa: ASYNC251 - the very thing that must not happen
            await asyncio.sleep(0.1)
            assert "held" in (state.problem() or "")
    finally:
        health.LAG_SECONDS = kept


async def test_metrics_have_the_promised_names() -> None:
    async with served(quiet()) as session, session.get("/metrics") as response:
        text = await response.text()
    for name in ("queue_depth", "leader", "reconcile_duration_seconds_bucket", "queue_oldest_seconds"):
        assert f"rag_operator_{name}" in text


async def test_port_0_serves_nothing() -> None:
    async with health.serve(quiet(), port=0):
        pass
