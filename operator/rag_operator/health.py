"""/livez, /readyz and /metrics. Liveness is about this process alone: a restart does not mend a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

LAG_SECONDS = 5.0
TICK_SECONDS = 1.0


class Health:
    """What the rest of the process reports, and what is made of it."""

    def __init__(self, *, longest_run_seconds: Callable[[], float], deadline_seconds: float) -> None:
        self.ready = False
        self.refresh: Callable[[], None] = lambda: None
        self._longest_run_seconds = longest_run_seconds
        self._deadline_seconds = deadline_seconds
        self._lag_seconds = 0.0

    def problem(self) -> str | None:
        if self._lag_seconds > LAG_SECONDS:
            return f"the event loop was held for {self._lag_seconds:.1f} s"
        if self._longest_run_seconds() > 3 * self._deadline_seconds:
            return f"a visit has not ended after {self._longest_run_seconds():.0f} s"
        return None

    async def measure_lag(self) -> None:
        """For ever: how much later than asked for does the loop come back?"""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            await asyncio.sleep(TICK_SECONDS)
            self._lag_seconds = loop.time() - asked_at - TICK_SECONDS


@asynccontextmanager
async def serve(health: Health, *, port: int) -> AsyncIterator[None]:
    """For the block; not at all on port 0."""
    if port == 0:
        yield
        return
    app = web.Application()
    routes = {"/livez": _livez(health), "/readyz": _readyz(health), "/metrics": _metrics(health)}
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # The kubelet and Prometheus ask from outside the pod.
    await web.TCPSite(runner, host="0.0.0.0", port=port).start()  # noqa: S104
    lag = asyncio.create_task(health.measure_lag())
    try:
        yield
    finally:
        lag.cancel()
        await runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _livez(health: Health) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        problem = health.problem()
        return web.Response(text=problem or "ok", status=500 if problem else 200)

    return handle


def _readyz(health: Health) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="ok" if health.ready else "not yet", status=200 if health.ready else 503)

    return handle


def _metrics(health: Health) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        health.refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle
