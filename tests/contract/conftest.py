"""What the contract tests share: the two stores, each opened on a place of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.adapters.qdrant_server import QdrantServer
from rag_runtime.ports import ChunkStore, IndexSpec
from tests.qdrant_server.running import Running, named_or_started
from tests.stores import Opener, spec


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with named_or_started(tmp_path_factory.mktemp("qdrant")) as running:
        yield running


@pytest.fixture(params=["edge", "server"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Stores that share one place: a second one made here sees what the first one wrote."""
    prefix = f"t{uuid.uuid4().hex[:10]}"

    def edge(of: IndexSpec | None = None, **settings: object) -> QdrantEdge:
        return QdrantEdge(of or spec(), tmp_path, **settings)  # type: ignore[arg-type]

    def server(of: IndexSpec | None = None, **settings: object) -> QdrantServer:
        of = of or spec()
        where = request.getfixturevalue("qdrant")
        named = replace(of, name=f"{prefix}-{of.name}")
        return QdrantServer(named, where.url, api_key=where.api_key, backoff_base=0.05, **settings)  # type: ignore[arg-type]

    yield edge if request.param == "edge" else server
    if request.param == "server":
        request.getfixturevalue("qdrant").remove(prefix)


@pytest.fixture
async def store(make: Opener) -> AsyncIterator[ChunkStore]:
    opened = make()
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def late_store(make: Opener) -> AsyncIterator[ChunkStore]:
    opened = make(spec(late=True))
    await opened.open()
    yield opened
    await opened.close()
