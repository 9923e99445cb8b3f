"""Late interaction from a model's folder to the hits, in both stores. The weights are random: only mechanics count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rag_runtime.adapters.fastembed import Models, load
from rag_runtime.domain import DocumentId, EmbeddedChunk, Vectors
from rag_runtime.ports import IndexSpec
from rag_runtime.retrieve import Retriever
from tests.models import write_bert_like
from tests.stores import Opener, embedded

TEXTS = (
    "boarding closes early",
    "the gate opens at nine",
    "life jackets lie under seats",
    "ask the crew",
    "nine gates",
)


def max_sim(asked: Vectors, found: Vectors) -> float:
    assert asked.late is not None
    assert found.late is not None
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked.late, found.late)]
    return float((unit[0] @ unit[1].T).max(axis=1).sum())


async def test_hits_come_in_the_order_of_late_interaction_and_say_so(make: Opener, tmp_path: Path) -> None:
    folder = str(write_bert_like(tmp_path / "colbert", size=24))
    embedder = load(Models(dense=folder, late=folder, cache_dir=tmp_path))
    store = make(IndexSpec("late", embedder.identity, embedder.dense_size, embedder.late_size))
    await store.open()
    vectors = await embedder.embed_documents(TEXTS)
    chunks = [replace(e.chunk, text=text) for e, text in zip(embedded(count=len(TEXTS)), TEXTS, strict=True)]
    await store.stage([EmbeddedChunk(chunk, each) for chunk, each in zip(chunks, vectors, strict=True)])
    await store.publish(DocumentId("d1"), "v1")
    retriever = Retriever(embedder, store)
    hits = (await retriever.retrieve("when does the gate open", top_k=4, explain=True)).hits
    asked = await embedder.embed_query("when does the gate open")
    similar = {chunk.id: max_sim(asked, each) for chunk, each in zip(chunks, vectors, strict=True)}
    assert [hit.chunk.id for hit in hits] == sorted(similar, key=lambda id_: -similar[id_])[:4]
    assert [hit.explain["late"].rank for hit in hits] == [1, 2, 3, 4]
    assert [round(hit.explain["late"].score, 2) for hit in hits] == [round(similar[hit.chunk.id], 2) for hit in hits]
    assert all("dense" in hit.explain for hit in hits)
    plain = (await retriever.retrieve("when does the gate open", top_k=4)).hits
    assert [(hit.chunk.id, hit.explain) for hit in plain] == [(hit.chunk.id, {}) for hit in hits]
    await store.close()
    embedder.close()
