"""How good the retrieval is: nDCG@10 on the Cranfield collection, by our own chunks, vectors and embedded store.

`RAGOPS_TEST_DATA=... python -m benchmarks.quality [--model NAME]`; the folder holds cranfield/*.csv.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_runtime.adapters.fastembed import FastEmbedder, Models, load
from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import Chunk, DocumentId, EmbeddedChunk, Hit, Vectors
from rag_runtime.loading import from_text
from rag_runtime.ports import IndexSpec, Search

DEPTH = 10
CANDIDATES = 100
STAGED_AT_ONCE = 256

Gains = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Collection:
    documents: Mapping[str, str]
    queries: Mapping[str, str]
    gains: Gains


@dataclass(frozen=True)
class Figures:
    """nDCG@10 by way of searching, and how fast the embedder was.

    The hybrid one differs by up to 0.004 between runs: equal scores are common in a fusion of ranks, and the order in
    which the store wrote its points decides between them.
    """

    ndcg: Mapping[str, float]
    chunks: int
    load_seconds: float
    chunks_per_second: float
    queries_per_second: float


def read_collection(folder: Path) -> Collection:
    gains: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in _rows(folder / "qrels.csv"):
        relevance = int(row["relevance"])
        # 1 is a complete answer, 4 of minimum interest, -1 of none.
        gains[row["query_id"]][row["document_id"]] = 5 - relevance if 1 <= relevance <= 4 else 0
    return Collection(
        documents={row["id"]: row["text"] for row in _rows(folder / "documents.csv")},
        queries={row["id"]: row["text"] for row in _rows(folder / "queries.csv")},
        gains=gains,
    )


def ndcg(ranking: Sequence[str], gains: Mapping[str, int]) -> float:
    ideal = _discounted(sorted(gains.values(), reverse=True))
    return _discounted(gains.get(document, 0) for document in ranking) / ideal if ideal else 0.0


async def measure(collection: Collection, models: Models, limits: ChunkLimits) -> Figures:
    began = time.perf_counter()
    embedder = load(models)
    loaded = time.perf_counter()
    chunks = chunks_of(collection, embedder, limits)
    chunked = time.perf_counter()
    vectors = await embedder.embed_documents([chunk.text for chunk in chunks])
    embedded = time.perf_counter()
    queries = {number: await embedder.embed_query(text) for number, text in collection.queries.items()}
    asked = time.perf_counter()
    rankings = await _rankings([EmbeddedChunk(*pair) for pair in zip(chunks, vectors, strict=True)], queries, embedder)
    embedder.close()
    return Figures(
        ndcg={way: _mean_ndcg(ranking, collection.gains) for way, ranking in rankings.items()},
        chunks=len(chunks),
        load_seconds=loaded - began,
        chunks_per_second=len(chunks) / (embedded - chunked),
        queries_per_second=len(queries) / (asked - embedded),
    )


def chunks_of(collection: Collection, embedder: FastEmbedder, limits: ChunkLimits) -> list[Chunk]:
    documents = (
        from_text(text, source=number, document_id=DocumentId(number)).document
        for number, text in collection.documents.items()
        if text.strip()
    )
    return [
        chunk
        for document in documents
        for chunk in chunk_document(document, limits, embedder.tokenizer, index_key="quality")
    ]


async def _rankings(
    chunks: Sequence[EmbeddedChunk], queries: Mapping[str, Vectors], embedder: FastEmbedder
) -> dict[str, dict[str, list[str]]]:
    """By way of searching and by query: documents, the one with the best chunk first."""
    spec = IndexSpec("quality", settings=embedder.identity, dense_size=embedder.dense_size)
    rankings: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        store = QdrantEdge(spec, Path(folder))
        await store.open()
        try:
            await fill(store, chunks)
            for number, vectors in queries.items():
                # All that either side found, so that each side's own order can be told from its ranks.
                hits = await store.search(Search(vectors, top_k=2 * CANDIDATES, candidates=CANDIDATES, explain=True))
                rankings["hybrid"][number] = _documents(hits)
                for way in ("dense", "sparse"):
                    rankings[way][number] = _documents(_found_by(way, hits))
        finally:
            await store.close()
    return dict(rankings)


async def fill(store: QdrantEdge, chunks: Sequence[EmbeddedChunk]) -> None:
    for first in range(0, len(chunks), STAGED_AT_ONCE):
        await store.stage(chunks[first : first + STAGED_AT_ONCE])
    versions = dict.fromkeys((embedded.chunk.document_id, embedded.chunk.content_hash) for embedded in chunks)
    await asyncio.gather(*(store.publish(document, content_hash) for document, content_hash in versions))


def _found_by(way: str, hits: Sequence[Hit]) -> list[Hit]:
    return sorted((hit for hit in hits if way in hit.explain), key=lambda hit: hit.explain[way].rank)


def _documents(hits: Sequence[Hit]) -> list[str]:
    return list(dict.fromkeys(hit.chunk.document_id for hit in hits))


def _mean_ndcg(rankings: Mapping[str, Sequence[str]], gains: Gains) -> float:
    return sum(ndcg(ranking, gains[number]) for number, ranking in rankings.items()) / len(rankings)


def _discounted(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in zip(range(1, DEPTH + 1), gains, strict=False))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--model", default=Models().dense, help="the dense model: bundled, a name or a folder")
    parser.add_argument("--cache-dir", type=Path, default=Models().cache_dir, help="where models are kept")
    parser.add_argument("--tokens", type=int, default=ChunkLimits().target, help="target size of a chunk")
    parser.add_argument("--max-tokens", type=int, default=ChunkLimits().maximum, help="largest size of a chunk")
    chosen = parser.parse_args()
    data = os.environ.get("RAGOPS_TEST_DATA")
    if not data:
        parser.error("RAGOPS_TEST_DATA must name the folder that holds cranfield/documents.csv")
    models = Models(dense=chosen.model, cache_dir=chosen.cache_dir)
    collection = read_collection(Path(data) / "cranfield")
    figures = asyncio.run(measure(collection, models, ChunkLimits(chosen.tokens, chosen.max_tokens)))
    for way, value in figures.ndcg.items():
        print(f"nDCG@{DEPTH} {way:8}{value:8.4f}")
    print(f"{figures.chunks} chunks; embedder loaded in {figures.load_seconds:.2f} s")
    print(f"{figures.chunks_per_second:.0f} chunks/s, {figures.queries_per_second:.0f} queries/s one after another")


if __name__ == "__main__":
    main()
