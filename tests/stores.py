"""Chunks, documents and jobs for tests of the stores; every value can be told, none has to be."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.adapters.qdrant_server import QdrantServer
from rag_runtime.domain import (
    Chunk,
    Document,
    DocumentId,
    EmbeddedChunk,
    Feedback,
    FileResult,
    Job,
    Mark,
    Passage,
    PlaceKind,
    SparseVector,
    Vectors,
)
from rag_runtime.ports import ChunkStore, IndexSpec, Search

DENSE, LATE = 8, 4
# Makes a store of either kind, by its settings.
Opener = Callable[..., QdrantEdge | QdrantServer]


def spec(name: str = "handbook", *, model: str = "tiny", late: bool = False) -> IndexSpec:
    settings = (("EMBEDDING_MODEL", model), ("SPARSE_MODEL", "Qdrant/bm25"))
    return IndexSpec(name, settings, DENSE, LATE if late else None)


def vectors(seed: int, *, words: Sequence[int] = (1,), late: bool = False) -> Vectors:
    """Random but the same for the same seed; `words` are the sparse side, with weights that hardly ever tie."""
    random = np.random.default_rng(seed)
    tokens = random.normal(size=(3, LATE)).astype(np.float32) if late else None
    sparse = SparseVector(np.array(words, np.uint32), random.uniform(0.5, 2.0, len(words)).astype(np.float32))
    return Vectors(random.normal(size=DENSE).astype(np.float32), sparse, tokens)


def chunk(document: str = "d1", *, version: str = "v1", ordinal: int = 0, text: str = "") -> Chunk:
    return Chunk(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{document} {version} {ordinal}")),
        document_id=DocumentId(document),
        source=f"{document}.csv",
        ordinal=ordinal,
        text=text or f"chunk {ordinal} of {document}",
        content_hash=version,
        place_kind=PlaceKind.ROW,
        marks=(Mark(0, ordinal + 1), Mark(7, ordinal + 2)),
        metadata={"team": "ops", "year": 2024, "draft": False, "tags": ("a", "b")},
        format="csv",
    )


def embedded(document: str = "d1", *, version: str = "v1", count: int = 1, late: bool = False) -> list[EmbeddedChunk]:
    """`count` chunks of one version of a document, each with a word of its own and the word 1."""
    return [
        EmbeddedChunk(
            chunk(document, version=version, ordinal=ordinal),
            vectors(hash_of(document, version, ordinal), words=(1, 100 + ordinal), late=late),
        )
        for ordinal in range(count)
    ]


def hash_of(*parts: object) -> int:
    return uuid.uuid5(uuid.NAMESPACE_URL, repr(parts)).int % 2**32


def document(id_: str = "d1", *, version: str = "v1", text: str = "One line.") -> Document:
    return Document(
        id=DocumentId(id_),
        source=f"{id_}.pdf",
        format="pdf",
        content_hash=version,
        passages=(Passage(text, 1), Passage("Zweite Seite: äöü 漢字 \u2028 \x00 end", 2)),
        place_kind=PlaceKind.PAGE,
        metadata={"team": "ops"},
    )


def job(id_: str = "j1", *, created_at: float = 100.0, done: bool = False) -> Job:
    failed = FileResult("b.pdf", DocumentId("b"), "failed", error={"title": "No text", "status": 422})
    first = FileResult("a.csv", DocumentId("a"), "stored" if done else "queued", chunks=3 if done else 0)
    return Job(id_, created_at, (first, failed), warnings=("a.csv is not UTF-8",), tried_by=("gone",))


def feedback(id_: str) -> Feedback:
    return Feedback(id_, "5f0f1a0c", "up", 1_700_000_000.5, "Schön \u2028 \x00 漢字", "key1")


def query(seed: int = 0, *, words: Sequence[int] = (1,), top_k: int = 10, late: bool = False) -> Search:
    return Search(vectors(seed, words=words, late=late), top_k)


async def store_document(store: ChunkStore, id_: str = "d1", *, version: str = "v1", count: int = 3) -> int:
    """All that an ingest does, without a model."""
    await store.put_documents([document(id_, version=version)])
    await store.stage(embedded(id_, version=version, count=count))
    return await store.publish(DocumentId(id_), version)


def leased(job_: Job, owner: str, until: float) -> Job:
    return replace(job_, owner=owner, lease_until=until)
