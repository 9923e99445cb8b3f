"""A proxy before an API server that does what networks and busy servers do: refuse, wait, cut off, fall silent."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.cluster import Cluster

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Fault:
    """What happens to a request. With nothing set it is only looked at."""

    status: int = 0
    """Answered in the server's place."""
    retry_after: int = 0
    delay_seconds: float = 0
    cut: bool = False
    """The server does what it was asked, and nobody hears of it."""
    deaf: bool = False
    """A stream stays open and brings nothing more."""
    after: Callable[[], None] = lambda: None
    """Called when the server has answered, before the client knows."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    is_watch: bool

    @property
    def is_write(self) -> bool:
        return self.method in WRITES

    @property
    def is_lease(self) -> bool:
        return "/leases" in self.path


Rule = Callable[[Request], Fault | None]


@dataclass
class FaultProxy:
    """`rule` may be replaced at any time; it is asked once for each request."""

    server: str
    trust: ssl.SSLContext
    rule: Rule = lambda _: None
    seen: list[Request] = field(default_factory=list)
    url: str = ""

    _session: aiohttp.ClientSession | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _ended: asyncio.Event | None = None

    async def serve(self, started: threading.Event) -> None:
        """Until `end`. Streams that are open then are cut off by the end of the event loop."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self.trust, limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None)
        ) as self._session:
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            started.set()
            await self._ended.wait()
            await site.stop()

    def end(self) -> None:
        assert self._loop
        assert self._ended
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = Request(request.method, request.path, "watch" in request.query)
        self.seen.append(asked)
        fault = self.rule(asked) or Fault()
        await asyncio.sleep(fault.delay_seconds)
        if fault.status:
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
            return web.json_response({"kind": "Status", "code": fault.status}, status=fault.status, headers=headers)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        body = await request.read() or None
        assert self._session
        async with self._session.request(
            request.method, self.server + request.path_qs, data=body, headers=headers, auto_decompress=False
        ) as answer:
            return await self._pass_on(request, answer, fault)

    async def _pass_on(self, request: web.Request, answer: aiohttp.ClientResponse, fault: Fault) -> web.StreamResponse:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        fault.after()
        if fault.cut:
            assert request.transport
            request.transport.abort()
            return response
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            if not fault.deaf:
                await response.write(chunk)
        return response


@contextmanager
def fault_proxy(cluster: Cluster, kubeconfig: Path) -> Iterator[FaultProxy]:
    """Before the cluster's API server; `kubeconfig`, whose token is kept, is changed to go through it."""
    config = yaml.safe_load(kubeconfig.read_text())
    where = config["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cafile=str(cluster.kubeconfig.parent / "pki" / "ca.crt"))
    proxy = FaultProxy(where["server"], trust)
    started = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(started)))
    thread.start()
    assert started.wait(10)
    try:
        config["clusters"][0]["cluster"] = {"server": proxy.url}
        kubeconfig.write_text(yaml.safe_dump(config))
        yield proxy
    finally:
        proxy.end()
        thread.join()
