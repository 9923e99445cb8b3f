"""What raw bytes get from the served protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from rag_runtime.commands.protocol import MAX_UNFINISHED_BYTES, PatientProtocol

HOST = b"Host: x\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
MUCH = b"a" * (2 * MAX_UNFINISHED_BYTES)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it understood of the request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = f"[{scope['method']} {scope['path']} {body.decode()}]".encode()
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with _serving(_echo) as port:
        yield port


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


async def _send(port: int, *parts: bytes) -> bytes:
    """All that comes back when the parts are sent one after the other, the last of them asking for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        received = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        pass  # refused while it was still being sent
    finally:
        writer.close()
    return received


LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "answers"),
    [
        ([LAST], [b"[GET /last ]"]),
        ([b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n" + LAST], [b"[GET /a ]", b"[GET /last ]"]),
        ([b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhe", b"llo" + LAST], [b"[POST /p hello]"]),
        (
            [b"POST /p HTTP/1.1\r\n" + HOST + UPGRADE + b"Content-Length: 5\r\n\r\nhe", b"llo", LAST],
            [b"[POST /p hello]", b"[GET /last ]"],
        ),
        (
            [
                b"POST /p HTTP/1.1\r\n" + HOST + UPGRADE,
                b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                LAST,
            ],
            [b"[POST /p hello]", b"[GET /last ]"],
        ),
        ([b"GET /g HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n", LAST], [b"[GET /g ]", b"[GET /last ]"]),
    ],
)
async def test_requests_are_understood_however_they_arrive(port: int, parts: list[bytes], answers: list[bytes]) -> None:
    """An upgrade to HTTP/2 that is offered, as Java's client does, is passed over, and its body is read."""
    received = await _send(port, *parts)
    assert received.count(b"200 OK") == received.count(b"[")
    assert all(answer in received for answer in answers), received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + MUCH,
        b"GET /" + MUCH,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: " + MUCH,
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5;" + MUCH,
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01hello\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
async def test_what_is_no_request_or_never_ends_is_refused(port: int, request_bytes: bytes) -> None:
    size = 50_000
    parts = [request_bytes[start : start + size] for start in range(0, len(request_bytes), size)]
    received = await _send(port, *parts)
    assert received.startswith(b"HTTP/1.1 400") or received == b""


class _Flood:
    """Writes more than any buffer holds, in pieces or at once, and notes when the client is gone."""

    def __init__(self, *, pieces: int, size: int) -> None:
        self._pieces, self._size = pieces, size
        self.gone = asyncio.Event()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _number in range(self._pieces):
            await send({"type": "http.response.body", "body": b"x" * self._size, "more_body": True})
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


@pytest.mark.parametrize(("pieces", "size"), [(1000, 65_536), (1, 65_536_000)], ids=["a stream", "one body"])
async def test_a_client_that_reads_nothing_is_cut(pieces: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a few hundred of them would hold all places for requests, and what they asked for, without end."""
    monkeypatch.setattr(PatientProtocol, "unread_seconds", 0.1)
    flood = _Flood(pieces=pieces, size=size)
    async with _serving(flood) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await asyncio.wait_for(flood.gone.wait(), 20)


async def test_a_client_that_reads_on_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "unread_seconds", 0.5)
    async with _serving(_Flood(pieces=1, size=65_536_000)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
        received = 0
        while received < 65_536_000:
            await asyncio.sleep(0)
            received += len(await asyncio.wait_for(reader.read(65_536), 10))
        writer.close()
