"""The two tools at /mcp, used by the protocol's official client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from rag_runtime.api import agents
from rag_runtime.errors import StoreUnavailable
from tests.rag_runtime.running import Running, running

KEYS = "asker:query:a-query-key,sender:ingest:an-ingest-key"
QUESTION = "How many cars does the Southern Cross carry?"


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running({"api_keys": KEYS, "api_key_required": True}) as started:
        await started.ingest(**{"x-api-key": "an-ingest-key"})
        yield started


@asynccontextmanager
async def agent(service: Running, *, mode: str = "auto") -> AsyncIterator[Client]:
    headers = {"Authorization": "Bearer a-query-key"}
    transport = httpx2.ASGITransport(app=service.app)
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://runtime", headers=headers) as http,
        Client(streamable_http_client("http://runtime/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_finds_and_asks(service: Running, mode: str) -> None:
    """With clients that begin with a handshake, and with those that need none."""
    async with agent(service, mode=mode) as client:
        tools = await client.list_tools()
        found = await client.call_tool("retrieve", {"query": "Southern Cross", "top_k": 1})
        answered = await client.call_tool("answer", {"question": QUESTION})
    assert [tool.name for tool in tools.tools] == ["retrieve", "answer"]
    assert found.structured_content["hits"][0]["source"] == "fleet.csv"
    assert "cars: 80" in answered.structured_content["answer"]
    assert answered.structured_content["citations"][0]["row"] == 2
    assert answered.structured_content["request_id"]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("answer", {"question": " "}, "must not be empty"),
        ("answer", {"question": "x", "stream": True}, "stream"),
        ("retrieve", {"query": "x", "top_k": 1000}, "top_k"),
        ("retrieve", {}, "query"),
        ("delete", {}, "there is no tool 'delete'"),
    ],
)
async def test_a_call_that_cannot_be_is_told_to_the_agent(
    service: Running, tool: str, arguments: dict[str, object], said: str
) -> None:
    async with agent(service) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert said in result.content[0].text


async def test_a_store_that_is_down_is_told_too(service: Running) -> None:
    service.store.fault = StoreUnavailable("the store does not answer")
    async with agent(service) as client:
        result = await client.call_tool("answer", {"question": "x"})
    assert (result.is_error, "the store does not answer" in result.content[0].text) == (True, True)


@pytest.mark.parametrize(("key", "status"), [("a-query-key", 405), ("an-ingest-key", 403), ("wrong", 401)])
async def test_the_same_keys_and_permissions_hold(service: Running, key: str, status: int) -> None:
    response = await service.client.get("/mcp", headers={"x-api-key": key})
    assert response.status_code == status


async def test_calls_are_counted_by_their_route(service: Running) -> None:
    async with agent(service) as client:
        await client.list_tools()
    metrics = await service.client.get("/metrics")
    assert 'rag_requests_total{endpoint="/mcp",method="POST",status="200"}' in metrics.text


async def test_it_can_be_switched_off() -> None:
    async with running({"mcp_enabled": False}) as service:
        assert (await service.client.post("/mcp")).status_code == 404


async def test_an_image_without_the_package_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "is_installed", lambda: False)
    async with running() as service:
        assert (await service.client.post("/mcp")).status_code == 404
