"""One index in Qdrant's engine: chunks in, hits out. Blocking; each call holds the GIL for as long as it takes.

An update returns before it is on disk: `sync` makes everything so far survive a power loss, `flush` shortens what
has to be replayed after one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from rag_runtime import facts, fusion
from rag_runtime.adapters import payload
from rag_runtime.adapters.edge.folder import sync_all
from rag_runtime.adapters.payload import Scored
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId, EmbeddedChunk, Hit, SparseVector
from rag_runtime.ports import IndexSpec, Search

# The engine's Python binding turns True into the integer 1, which no boolean in a payload equals.
_LIVE, _STAGED = 1, 0
_WANTED = edge.PayloadSelector.Exclude(payload.UNREAD)
_FIELDS = {
    "document_id": edge.PayloadSchemaType.Keyword,
    "content_hash": edge.PayloadSchemaType.Keyword,
    "source": edge.PayloadSchemaType.Keyword,
    "format": edge.PayloadSchemaType.Keyword,
    facts.FACTS: edge.PayloadSchemaType.Keyword,
    "live": edge.PayloadSchemaType.Integer,
}


class Shard:
    def __init__(self, folder: Path, spec: IndexSpec, tuning: Tuning) -> None:
        config = _config(spec, tuning)
        self._folder = folder
        self._unsynced = False
        self._vector_bytes = 4 * spec.dense_size
        self._threshold_bytes = tuning.indexing_threshold * 1024 if tuning.hnsw_m else 0
        if (folder / "edge_config.json").exists():
            self._engine = edge.EdgeShard.load(str(folder), config)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._engine = edge.EdgeShard.create(str(folder), config)
        self._indexed = set(self._engine.info().payload_schema)
        for name in _FIELDS.keys() - self._indexed:
            self._index_field(name, _FIELDS[name])
        self.flush()

    def close(self) -> None:
        self.flush()
        self._engine.close()

    def sync(self) -> None:
        """Put the write-ahead log on disk: what the engine replays when it is opened after a power loss."""
        if not self._unsynced:
            return
        # The engine prepares the log's next file in a thread of its own, and renames it when it is needed.
        sync_all(self._folder / "wal")
        self._unsynced = False

    def flush(self) -> None:
        self._engine.flush()
        self._unsynced = False

    def is_large(self) -> bool:
        """Whether it is of a size at which a graph is built, which takes long."""
        return self._bytes(self._engine.info().points_count) > self._threshold_bytes > 0

    def lacks_graph(self) -> bool:
        """Whether so many vectors are without a graph that the engine would build one. Sparse ones count as indexed."""
        info = self._engine.info()
        return self._bytes(2 * info.points_count - info.indexed_vectors_count) > self._threshold_bytes

    def _bytes(self, vectors: int) -> int:
        return vectors * self._vector_bytes

    def optimize(self) -> None:
        """Merge, vacuum and index segments where the thresholds say so; else it costs nothing."""
        self._engine.optimize()

    def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        """Numbers and dates get an index when the first of their kind comes."""
        for field in payload.new_ranges(chunks, self._indexed):
            self._index_field(field, edge.PayloadSchemaType.Float)
        points = [edge.Point(c.chunk.id, _vectors(c), payload.from_chunk(c.chunk) | {"live": _STAGED}) for c in chunks]
        self._update(edge.UpdateOperation.upsert_points(points, condition=edge.Filter(must_not=[_is("live", _LIVE)])))

    def publish(self, document_id: DocumentId, content_hash: str) -> int:
        this, document = _is("content_hash", content_hash), _is("document_id", document_id)
        version = edge.Filter(must=[document, this])
        self._update(edge.UpdateOperation.set_payload_by_filter(version, {"live": _LIVE}))
        self._update(edge.UpdateOperation.delete_points_by_filter(edge.Filter(must=[document], must_not=[this])))
        return self._engine.count(edge.CountRequest(filter=version))

    def shows(self, document_id: DocumentId, content_hash: str) -> bool:
        """Whether chunks of this version can be found."""
        version = [_is("live", _LIVE), _is("document_id", document_id), _is("content_hash", content_hash)]
        return self._engine.count(edge.CountRequest(filter=edge.Filter(must=list(version)))) > 0

    def delete_document(self, document_id: DocumentId) -> bool:
        """Whether there were any chunks to delete."""
        its = edge.Filter(must=[_is("document_id", document_id)])
        if self._engine.count(edge.CountRequest(filter=its)) == 0:
            return False
        self._update(edge.UpdateOperation.delete_points_by_filter(its))
        return True

    def count(self) -> int:
        return self._engine.count(edge.CountRequest(filter=edge.Filter(must=[_is("live", _LIVE)])))

    def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        its = edge.Filter(must=[_is("live", _LIVE), _is("document_id", document_id)])
        records, _ = self._engine.scroll(edge.ScrollRequest(limit=1, filter=its, with_payload=["content_hash"]))
        if not records:
            return None
        content_hash = str((records[0].payload or {})["content_hash"])
        version = edge.Filter(
            must=[_is("live", _LIVE), _is("document_id", document_id), _is("content_hash", content_hash)]
        )
        count = self._engine.count(edge.CountRequest(filter=version))
        return (content_hash, count) if count == self._engine.count(edge.CountRequest(filter=its)) else None

    def search(self, search: Search) -> list[Hit]:
        explain_only = search.explain and search.vectors.late is None
        stages = self._answers(_explaining(search) if explain_only else _requests(search))
        if explain_only:
            stages["fused"] = self._fused(stages, search)
        return payload.to_hits(stages, top_k=search.top_k, explain=search.explain)

    def _answers(self, requests: Mapping[str, edge.QueryRequest]) -> dict[str, list[Scored]]:
        answers = self._engine.query_batch(edge.QueryBatchRequest(list(requests.values())))
        return {
            name: [Scored(str(point.id), point.score, point.payload) for point in answer]
            for name, answer in zip(requests, answers, strict=True)
        }

    def _fused(self, sides: Mapping[str, Sequence[Scored]], search: Search) -> list[Scored]:
        """What the engine's fusion gives, of sides that are at hand: to have it search them again doubles the time."""
        ranked = fusion.reciprocal_rank([[point.id for point in side] for side in sides.values()], k=search.rrf_k)
        best = {id_: score for id_, score in ranked[: payload.fused_limit(search)] if score >= search.score_floor}
        records = self._engine.retrieve(list(best), _WANTED, False)
        return [Scored(str(record.id), best[str(record.id)], record.payload) for record in records]

    def _index_field(self, name: str, kind: edge.PayloadSchemaType) -> None:
        self._update(edge.UpdateOperation.create_field_index(name, kind))
        self._indexed.add(name)

    def _update(self, operation: edge.UpdateOperation) -> None:
        self._unsynced = True
        self._engine.update(operation)


def _config(spec: IndexSpec, tuning: Tuning) -> edge.EdgeConfig:
    vectors = {"dense": edge.EdgeVectorParams(spec.dense_size, edge.Distance.Cosine, quantization_config=_int8(tuning))}
    if spec.late_size:
        vectors["late"] = edge.EdgeVectorParams(
            spec.late_size,
            edge.Distance.Cosine,
            multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
            hnsw_config=_hnsw(tuning, m=0),
        )
    return edge.EdgeConfig(
        vectors=vectors,
        sparse_vectors={"sparse": edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if spec.sparse_idf else None)},
        hnsw_config=_hnsw(tuning, m=tuning.hnsw_m),
        optimizers=edge.EdgeOptimizersConfig(
            default_segment_number=tuning.default_segment_number,
            max_segment_size=tuning.max_segment_size,
            indexing_threshold=tuning.indexing_threshold,
        ),
        # Calls never overlap here, and more threads than one halve the throughput of small indexes.
        max_search_threads=1,
    )


def _hnsw(tuning: Tuning, *, m: int) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(
        m, tuning.hnsw_ef_construct, tuning.hnsw_full_scan_threshold, tuning.hnsw_max_indexing_threads
    )


def _int8(tuning: Tuning) -> edge.ScalarQuantizationConfig | None:
    if not tuning.quantization:
        return None
    return edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, tuning.quantization_quantile, tuning.quantization_always_ram
    )


def _requests(search: Search) -> dict[str, edge.QueryRequest]:
    """The stages by name: the fused one always, the others where they rank or explain."""
    sides, where = _sides(search), _where(search)
    # The engine's stubs do not count the nested class as a Fusion.
    fuse: Any = edge.Fusion.Rrf(search.rrf_k)
    prefetches = [edge.Prefetch(search.candidates, query, filter=where) for query in sides.values()]
    late = search.vectors.late
    requests = {
        "fused": edge.QueryRequest(
            payload.fused_limit(search),
            query=fuse,
            prefetches=prefetches,
            score_threshold=search.score_floor or None,
            with_payload=_WANTED if late is None else False,
        )
    }
    if late is not None:
        fused = edge.Prefetch(search.candidates, fuse, prefetches, score_threshold=search.score_floor or None)
        nearest = edge.Query.Nearest(late.tolist(), using="late")
        requests["late"] = edge.QueryRequest(search.top_k, query=nearest, prefetches=[fused], with_payload=_WANTED)
    return requests | _explaining(search) if search.explain else requests


def _explaining(search: Search) -> dict[str, edge.QueryRequest]:
    where = _where(search)
    return {
        name: edge.QueryRequest(search.candidates, query=query, filter=where, with_payload=False)
        for name, query in _sides(search).items()
    }


def _sides(search: Search) -> dict[str, Any]:
    sides = {"dense": edge.Query.Nearest(_floats(search.vectors.dense), using="dense")}
    if len(search.vectors.sparse.indices):
        sides["sparse"] = edge.Query.Nearest(_sparse(search.vectors.sparse), using="sparse")
    return sides


def _where(search: Search) -> edge.Filter:
    live = _is("live", _LIVE)
    return edge.Filter(must=[live] if search.filter is None else [live, _condition(facts.question(search.filter))])


def _condition(asked: facts.Question) -> Any:
    match asked:
        case facts.Match(field, (word,)):
            return _is(field, word)
        case facts.Match(field, words):
            return edge.FieldCondition(field, match=edge.MatchAny(list(words)))
        case facts.Bounds(field, gt, gte, lt, lte):
            return edge.FieldCondition(field, range=edge.RangeFloat(gt=gt, gte=gte, lt=lt, lte=lte))
        case facts.Group():
            must, should, must_not = ([_condition(each) for each in group] or None for group in asked)
            return edge.Filter(must=must, should=should, must_not=must_not)


def _is(key: str, value: str | int) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchValue(value))


def _vectors(embedded: EmbeddedChunk) -> dict[str, Any]:
    vectors = embedded.vectors
    found: dict[str, Any] = {"dense": _floats(vectors.dense), "sparse": _sparse(vectors.sparse)}
    if vectors.late is not None:
        found["late"] = vectors.late.tolist()
    return found


def _floats(array: NDArray[np.float32]) -> list[float]:
    floats: list[float] = array.tolist()
    return floats


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(vector.indices.tolist(), vector.values.tolist())
