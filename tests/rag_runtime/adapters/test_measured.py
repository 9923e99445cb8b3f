"""A measured port is the same port, and every call's time is observed, failed ones too."""

from __future__ import annotations

import pytest

from rag_runtime.adapters.measured import MeasuredEmbedder, MeasuredGenerator, MeasuredStore
from rag_runtime.domain import DocumentId, EmbeddedChunk
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.ports import ChunkStore, Embedder, Generator, Search
from rag_runtime.testing import HashEmbedder, MemoryStore, ScriptedGenerator
from tests.rag_runtime.hits import plain
from tests.rag_runtime.pieces import said


async def test_the_way_of_a_chunk_is_timed_stage_by_stage() -> None:
    seen: list[str] = []
    embedder: Embedder = MeasuredEmbedder(HashEmbedder(), lambda stage, _: seen.append(stage))
    store: ChunkStore = MeasuredStore(MemoryStore(), lambda stage, _: seen.append(stage))
    chunk = plain("Boarding closes at noon.").chunk
    (vectors,) = await embedder.embed_documents([chunk.text])
    await store.stage([EmbeddedChunk(chunk, vectors)])
    assert await store.publish(DocumentId(chunk.document_id), chunk.content_hash) == 1
    hits = await store.search(Search(await embedder.embed_query("boarding"), top_k=1))
    assert [hit.chunk for hit in hits] == [chunk]
    assert seen == ["embed_documents", "stage", "publish", "embed", "search"]


async def test_a_failed_call_is_timed_and_fails() -> None:
    seen: list[tuple[str, float]] = []
    failing = ScriptedGenerator(fault=GeneratorUnavailable("no", reason="quota"))
    generator: Generator = MeasuredGenerator(failing, lambda stage, seconds: seen.append((stage, seconds)))
    with pytest.raises(GeneratorUnavailable):
        await said(generator.generate("x", [], max_words=10))
    assert seen[0][0] == "generate"
    assert seen[0][1] >= 0
