"""The floor: fastembed's sessions and qdrant-edge called directly, in this process, with ragops' own parameters.

One session of one thread that as many callers may use at once as there are processors; with `--alone` one session of
all threads, as is best for a single caller.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any
from uuid import uuid4

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import qdrant_edge as edge

from benchmarks.runtime.contender import TOP_K, Options, run
from rag_runtime.adapters.fastembed import BATCH, BM25
from rag_runtime.adapters.models import load_dense, load_sparse
from rag_runtime.adapters.tuning import Tuning

CANDIDATES, RRF_K = 100, 60


class Floor:
    def __init__(self, options: Options, *, threads: int, at_once: int) -> None:
        self._options = options
        self._at_once = at_once
        self._room = Semaphore(at_once)
        self._dense = load_dense(str(options.model), options.work / "models", threads=threads)
        self._sparse = load_sparse(BM25, "english", options.work / "models")
        size = len(next(iter(self._dense.query_embed("how many dimensions?"))))
        shard = options.work / "shard"
        shard.mkdir(parents=True)
        self._shard = edge.EdgeShard.create(str(shard), _config(size))

    def ingest(self) -> None:
        chunks = sorted(self._options.chunks(), key=len)
        batches = [chunks[first : first + BATCH] for first in range(0, len(chunks), BATCH)]
        with ThreadPoolExecutor(self._at_once) as pool:
            for points in pool.map(self._points, batches):
                self._shard.update(edge.UpdateOperation.upsert_points(points))
        self._shard.flush()

    def ask(self, question: str) -> int:
        with self._room:
            dense = next(iter(self._dense.query_embed(question)))
            sparse = next(iter(self._sparse.query_embed(question)))
        sides: list[Any] = [
            edge.Query.Nearest(dense.tolist(), using="dense"),
            edge.Query.Nearest(edge.SparseVector(sparse.indices.tolist(), sparse.values.tolist()), using="sparse"),
        ]
        fusion: Any = edge.Fusion.Rrf(RRF_K)
        prefetches = [edge.Prefetch(CANDIDATES, side) for side in sides]
        return len(self._shard.query(edge.QueryRequest(TOP_K, query=fusion, prefetches=prefetches, with_payload=True)))

    def others(self) -> Sequence[int]:
        return ()

    def _points(self, texts: list[str]) -> list[edge.Point]:
        dense = self._dense.passage_embed(texts, batch_size=BATCH)
        sparse = self._sparse.passage_embed(texts, batch_size=BATCH)
        return [
            edge.Point(
                str(uuid4()),
                {"dense": d.tolist(), "sparse": edge.SparseVector(s.indices.tolist(), s.values.tolist())},
                {"text": text},
            )
            for text, d, s in zip(texts, dense, sparse, strict=True)
        ]


def _config(size: int) -> edge.EdgeConfig:
    tuning = Tuning()
    int8 = edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, tuning.quantization_quantile, tuning.quantization_always_ram
    )
    hnsw = edge.HnswIndexConfig(
        tuning.hnsw_m,
        tuning.hnsw_ef_construct,
        tuning.hnsw_full_scan_threshold,
        tuning.hnsw_max_indexing_threads,
    )
    return edge.EdgeConfig(
        vectors={"dense": edge.EdgeVectorParams(size, edge.Distance.Cosine, quantization_config=int8)},
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=hnsw,
        max_search_threads=1,
    )


def start(options: Options) -> Floor:
    return Floor(options, threads=1, at_once=options.threads)


def start_alone(options: Options) -> Floor:
    return Floor(options, threads=options.threads, at_once=1)


if __name__ == "__main__":
    alone = "--alone" in sys.argv
    if alone:
        sys.argv.remove("--alone")
    run(start_alone if alone else start)
