import asyncio

import pytest

from rag_runtime.adapters.server.connection import Address, Connection, Patience
from rag_runtime.errors import StoreRejected


@pytest.mark.parametrize(("attempt", "least", "most"), [(0, 0.5, 1.0), (1, 1.0, 2.0), (4, 8.0, 16.0)])
def test_pauses_double_and_differ(attempt: int, least: float, most: float) -> None:
    pauses = [Patience(backoff_base=1.0).pause(attempt, at_least=0.0) for _ in range(50)]
    assert all(least <= pause <= most for pause in pauses)
    assert len(set(pauses)) > 1


def test_the_server_may_ask_for_a_longer_pause() -> None:
    assert Patience(backoff_base=0.1).pause(0, at_least=7.0) == 7.0


def test_no_pause_of_our_own_is_longer_than_a_minute() -> None:
    assert Patience(backoff_base=60.0).pause(10, at_least=0.0) == 60.0


def test_a_url_that_is_none_is_refused_by_its_variable() -> None:
    with pytest.raises(StoreRejected, match="QDRANT_URL"):
        Connection(Address("ftp://qdrant"), Patience())


async def answer(body: bytes) -> str:
    """What asking a server for its version comes to that answers with this, and status 200."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = Connection(Address(f"http://127.0.0.1:{port}"), Patience())
        with pytest.raises(StoreRejected) as refused:
            await connection.read("ask for the version", connection.client.info)
        await connection.close()
        return str(refused.value)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"\xff\xfe", b"[" * 100_000, b'{"version": {}}', b""])
async def test_a_page_of_something_else_is_no_qdrant(body: bytes) -> None:
    """As of a proxy that wants users to sign in."""
    assert "answers unlike a Qdrant (ask for the version)" in await answer(body)
