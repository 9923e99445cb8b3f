"""The whole application in this process, reached through its front door, with the shipped stand-ins for its ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from rag_runtime.app import Ports, create_app
from rag_runtime.service import Runtime
from rag_runtime.settings import Settings
from rag_runtime.testing import HashEmbedder, MemoryStore

FLEET = "name,cars,master\nNorthern Light,120,Ada Lind\nSouthern Cross,80,Bo Ek\nMorning Star,45,Eva Holm\n"


@dataclass
class Running:
    """A client, and what stands behind it."""

    client: httpx.AsyncClient
    app: FastAPI
    store: MemoryStore
    embedder: HashEmbedder

    @property
    def runtime(self) -> Runtime:
        runtime: Runtime = self.app.state.runtime
        return runtime

    async def ingest(self, name: str = "fleet.csv", content: str = FLEET, **headers: str) -> dict[str, Any]:
        """Send one file and wait for its job."""
        files = [("files", (name, content.encode()))]
        response = await self.client.post("/v1/documents?wait=true", files=files, headers=headers)
        assert response.status_code == 200, response.text
        job: dict[str, Any] = response.json()
        return job

    async def ask(self, question: str, **more: object) -> dict[str, Any]:
        response = await self.client.post("/v1/query", json={"question": question, **more})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@asynccontextmanager
async def running(
    settings: Mapping[str, object] | None = None, ports: Ports | None = None, *, wait: bool = True
) -> AsyncIterator[Running]:
    """Start it, and end it with the block. Unless told otherwise, nothing limits the rate."""
    store, embedder = MemoryStore(), HashEmbedder()
    chosen = ports or Ports()
    app = create_app(
        Settings(**{"rate_limit_requests": 0, "csv_chunk_tokens": 32, "csv_chunk_max_tokens": 40, **(settings or {})}),
        Ports(chosen.embedder or embedder, chosen.store or store, chosen.generator),
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://runtime") as client,
    ):
        if wait:
            await asyncio.wait_for(app.state.runtime.started.wait(), 20)
        yield Running(client, app, store, embedder)
