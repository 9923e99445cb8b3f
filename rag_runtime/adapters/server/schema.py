"""What is asked of the server to make and search an index, as the client's own models. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from rag_runtime import facts
from rag_runtime.adapters import payload
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId, EmbeddedChunk, SparseVector
from rag_runtime.ports import IndexSpec, Search

STAMP = "ragops"
KEYWORD, BOOL, FLOAT = models.PayloadSchemaType.KEYWORD, models.PayloadSchemaType.BOOL, models.PayloadSchemaType.FLOAT
INDEX_FIELDS = {
    "document_id": KEYWORD,
    "content_hash": KEYWORD,
    "source": KEYWORD,
    "format": KEYWORD,
    facts.FACTS: KEYWORD,
    "live": BOOL,
}


def index_config(spec: IndexSpec, tuning: Tuning) -> dict[str, Any]:
    """The arguments of `create_collection` for an index."""
    vectors = {
        "dense": models.VectorParams(
            size=spec.dense_size, distance=models.Distance.COSINE, quantization_config=_int8(tuning)
        )
    }
    if spec.late_size:
        vectors["late"] = models.VectorParams(
            size=spec.late_size,
            distance=models.Distance.COSINE,
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            hnsw_config=models.HnswConfigDiff(m=0),
        )
    return {
        "vectors_config": vectors,
        "sparse_vectors_config": {
            "sparse": models.SparseVectorParams(modifier=models.Modifier.IDF if spec.sparse_idf else None)
        },
        "shard_number": tuning.shards,
        "replication_factor": tuning.replication_factor,
        "write_consistency_factor": tuning.write_consistency_factor,
        "hnsw_config": _hnsw(tuning),
        "optimizers_config": _optimizers(tuning),
    }


def tuning_changes(tuning: Tuning, info: models.CollectionInfo) -> dict[str, Any]:
    """The arguments of `update_collection` that make an index as it is tuned now; none where it is.

    The number of shards cannot change, and a limit cannot be taken back, only moved.
    """
    config, changes = info.config, dict[str, Any]()
    copies = models.CollectionParamsDiff(
        replication_factor=tuning.replication_factor, write_consistency_factor=tuning.write_consistency_factor
    )
    for name, wanted, found in (
        ("hnsw_config", _hnsw(tuning), config.hnsw_config),
        ("optimizers_config", _optimizers(tuning), config.optimizer_config),
        ("collection_params", copies, config.params),
    ):
        values = wanted.model_dump(exclude_none=True)
        if any(getattr(found, field) != value for field, value in values.items()):
            changes[name] = wanted
    vectors = config.params.vectors
    dense = vectors.get("dense") if isinstance(vectors, dict) else None
    if dense is not None and dense.quantization_config != _int8(tuning):
        quantization = _int8(tuning) or models.Disabled.DISABLED
        changes["vectors_config"] = {"dense": models.VectorParamsDiff(quantization_config=quantization)}
    return changes


def fits(spec: IndexSpec, info: models.CollectionInfo) -> bool:
    """Whether a collection that we did not make has the vectors that the index needs."""
    params = info.config.params
    found = params.vectors if isinstance(params.vectors, dict) else {}
    sizes = {name: vector.size for name, vector in found.items()}
    wanted = {"dense": spec.dense_size} | ({"late": spec.late_size} if spec.late_size else {})
    return wanted.items() <= sizes.items() and "sparse" in (params.sparse_vectors or {})


def to_point(embedded: EmbeddedChunk) -> models.PointStruct:
    vectors = embedded.vectors
    vector: dict[str, Any] = {"dense": vectors.dense.tolist(), "sparse": _sparse(vectors.sparse)}
    if vectors.late is not None:
        vector["late"] = vectors.late.tolist()
    body = payload.from_chunk(embedded.chunk) | {"live": False}
    return models.PointStruct(id=embedded.chunk.id, vector=vector, payload=body)


def search_requests(search: Search, without: Sequence[models.Filter] = ()) -> dict[str, models.QueryRequest]:
    """The stages by name: the fused one always, the others where they rank or explain."""
    sides, where = _sides(search), _where(search, without)
    wanted = models.PayloadSelectorExclude(exclude=payload.UNREAD)
    prefetches = [
        models.Prefetch(query=query, using=name, filter=where, limit=search.candidates) for name, query in sides.items()
    ]
    fusion = models.RrfQuery(rrf=models.Rrf(k=search.rrf_k))
    floor = search.score_floor or None
    late = search.vectors.late
    requests = {
        "fused": models.QueryRequest(
            prefetch=prefetches,
            query=fusion,
            limit=payload.fused_limit(search),
            score_threshold=floor,
            with_payload=wanted if late is None else False,
        )
    }
    if late is not None:
        fused = models.Prefetch(prefetch=prefetches, query=fusion, limit=search.candidates, score_threshold=floor)
        requests["late"] = models.QueryRequest(
            prefetch=fused, query=late.tolist(), using="late", limit=search.top_k, with_payload=wanted
        )
    if search.explain:
        for name, query in sides.items():
            requests[name] = models.QueryRequest(
                query=query, using=name, filter=where, limit=search.candidates, with_payload=False
            )
    return requests


def field_is(key: str, value: str | int | bool) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def of_document(document_id: DocumentId, *more: models.Condition) -> models.Filter:
    return models.Filter(must=[field_is("document_id", document_id), *more])


PUBLISHED = models.Filter(must=[field_is("live", True)])
# As the condition of an upsert: what is new is inserted, what is staged is rewritten, what is live stays.
NOT_PUBLISHED = models.Filter(must_not=[field_is("live", True)])


def publication(document_id: DocumentId, content_hash: str) -> Sequence[models.UpdateOperation]:
    """Show the new version, then drop the old: for a moment both can be found, never neither."""
    version = of_document(document_id, field_is("content_hash", content_hash))
    others = models.Filter(
        must=[field_is("document_id", document_id)], must_not=[field_is("content_hash", content_hash)]
    )
    return [
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"live": True}, filter=version)),
        models.DeleteOperation(delete=models.FilterSelector(filter=others)),
    ]


def _hnsw(tuning: Tuning) -> models.HnswConfigDiff:
    return models.HnswConfigDiff(
        m=tuning.hnsw_m,
        ef_construct=tuning.hnsw_ef_construct,
        full_scan_threshold=tuning.hnsw_full_scan_threshold,
        max_indexing_threads=tuning.hnsw_max_indexing_threads,
    )


def _optimizers(tuning: Tuning) -> models.OptimizersConfigDiff:
    return models.OptimizersConfigDiff(
        default_segment_number=tuning.default_segment_number,
        max_segment_size=tuning.max_segment_size,
        memmap_threshold=tuning.memmap_threshold,
        indexing_threshold=tuning.indexing_threshold,
        flush_interval_sec=tuning.flush_interval_sec,
        max_optimization_threads=tuning.max_optimization_threads,
    )


def _int8(tuning: Tuning) -> models.ScalarQuantization | None:
    if not tuning.quantization:
        return None
    return models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8,
            quantile=tuning.quantization_quantile,
            always_ram=tuning.quantization_always_ram,
        )
    )


def _where(search: Search, without: Sequence[models.Filter]) -> models.Filter:
    asked = [] if search.filter is None else [_condition(facts.question(search.filter))]
    return models.Filter(must=[field_is("live", True), *asked], must_not=list(without) or None)


def _condition(asked: facts.Question) -> models.Condition:
    match asked:
        case facts.Match(field, (word,)):
            return field_is(field, word)
        case facts.Match(field, words):
            return models.FieldCondition(key=field, match=models.MatchAny(any=list(words)))
        case facts.Bounds(field, gt, gte, lt, lte):
            return models.FieldCondition(key=field, range=models.Range(gt=gt, gte=gte, lt=lt, lte=lte))
        case facts.Group():
            must, should, must_not = ([_condition(each) for each in group] or None for group in asked)
            return models.Filter(must=must, should=should, must_not=must_not)


def _sides(search: Search) -> dict[str, Any]:
    sides: dict[str, Any] = {"dense": search.vectors.dense.tolist()}
    if len(search.vectors.sparse.indices):
        sides["sparse"] = _sparse(search.vectors.sparse)
    return sides


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
