"""A document that is replaced is at every moment all of its old version or all of its new one, in both stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.adapters.qdrant_server import QdrantServer
from rag_runtime.app import Ports
from rag_runtime.ports import ChunkStore, IndexSpec
from tests.qdrant_server.running import named_or_started
from tests.rag_runtime.running import Running, running

CHUNKS = 30
VERSIONS = 3


@pytest.fixture(params=["edge", "server"])
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    spec = IndexSpec(f"t{uuid.uuid4().hex[:10]}", (("EMBEDDING_MODEL", "hash"),), 64)
    if request.param == "edge":
        async with running({}, Ports(store=QdrantEdge(spec, tmp_path))) as started:
            yield started
        return
    with named_or_started(tmp_path) as server:
        store: ChunkStore = QdrantServer(spec, server.url, api_key=server.api_key)
        async with running({}, Ports(store=store)) as started:
            yield started
        server.remove(spec.name)


def version(number: int) -> str:
    return "ship,cars,version\n" + "".join(
        f"Northern Light {row} of the northern fleet of the sea,{row},v{number}\n" for row in range(CHUNKS)
    )


async def test_every_search_sees_one_version_whole(service: Running) -> None:
    first = await service.ingest("fleet.csv", version(0))
    count = first["files"][0]["chunks"]
    assert count > 10
    seen: list[set[str]] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            asked = {"query": "Northern Light", "top_k": 100}
            hits = (await service.client.post("/v1/retrieve", json=asked)).json()["hits"]
            assert len(hits) == count
            seen.append({hit["text"].rsplit("version: ", 1)[1].split()[0] for hit in hits})

    async def write() -> None:
        for number in range(1, VERSIONS):
            job = await service.ingest("fleet.csv", version(number))
            assert job["files"][0]["chunks"] == count
        done.set()

    await asyncio.gather(write(), read(), read())
    assert all(len(versions) == 1 for versions in seen), seen
    assert len(seen) > VERSIONS
    assert seen[-1] <= {f"v{VERSIONS - 1}", f"v{VERSIONS - 2}"}
