"""The client's models as the engine's objects, and back. What ragops does not use is refused, not guessed."""

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client.http import models

from tests.qdrant_server import booleans
from tests.qdrant_server.answers import bad_input

# The engine wants at least one vector; a collection of payloads alone gets this one, which nobody fills.
NO_VECTOR = "none"

_DISTANCES = {
    models.Distance.COSINE: edge.Distance.Cosine,
    models.Distance.DOT: edge.Distance.Dot,
    models.Distance.EUCLID: edge.Distance.Euclid,
    models.Distance.MANHATTAN: edge.Distance.Manhattan,
}
_UPDATE_MODES = {
    models.UpdateMode.UPSERT: edge.UpdateMode.Upsert,
    models.UpdateMode.INSERT_ONLY: edge.UpdateMode.InsertOnly,
    models.UpdateMode.UPDATE_ONLY: edge.UpdateMode.UpdateOnly,
}


def config(collection: models.CreateCollection) -> edge.EdgeConfig:
    named = collection.vectors if isinstance(collection.vectors, dict) else {"": collection.vectors}
    vectors = {name: _vector_params(params) for name, params in named.items() if params is not None}
    sparse = {name: _sparse_params(params) for name, params in (collection.sparse_vectors or {}).items()}
    if not vectors and not sparse:
        sparse = {NO_VECTOR: edge.EdgeSparseVectorParams()}
    return edge.EdgeConfig(vectors=vectors, sparse_vectors=sparse, max_search_threads=1)


def _vector_params(params: models.VectorParams) -> edge.EdgeVectorParams:
    multi = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if params.multivector_config else None
    return edge.EdgeVectorParams(params.size, _DISTANCES[params.distance], multivector_config=multi)


def _sparse_params(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    return edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf if params.modifier == models.Modifier.IDF else None)


def upsert(request: models.PointsList) -> edge.UpdateOperation:
    points = [
        edge.Point(point.id, _vectors(point.vector), booleans.with_shadows(point.payload or {}))
        for point in request.points
    ]
    return edge.UpdateOperation.upsert_points(
        points,
        condition=filter_(request.update_filter),
        update_mode=_UPDATE_MODES[request.update_mode or models.UpdateMode.UPSERT],
    )


def set_payload(request: models.SetPayload) -> edge.UpdateOperation:
    payload = booleans.with_shadows(request.payload)
    if request.points is not None:
        return edge.UpdateOperation.set_payload(request.points, payload, request.key)
    if request.filter is None:
        raise bad_input("neither points nor filter are given")
    return edge.UpdateOperation.set_payload_by_filter(filter_(request.filter), payload, request.key)


def delete(selector: models.PointsSelector) -> edge.UpdateOperation:
    if isinstance(selector, models.PointIdsList):
        return edge.UpdateOperation.delete_points(selector.points)
    return edge.UpdateOperation.delete_points_by_filter(filter_(selector.filter))


def field_index(name: str, kind: models.PayloadSchemaType) -> edge.UpdateOperation:
    if kind == models.PayloadSchemaType.BOOL:
        name, kind = booleans.shadow_key(name), models.PayloadSchemaType.KEYWORD
    schema = getattr(edge.PayloadSchemaType, kind.value.capitalize())
    return edge.UpdateOperation.create_field_index(name, schema)


def query_request(request: models.QueryRequest) -> edge.QueryRequest:
    return edge.QueryRequest(
        limit=10 if request.limit is None else request.limit,
        offset=request.offset or 0,
        query=_query(request.query, request.using),
        prefetches=_prefetches(request.prefetch),
        filter=filter_(request.filter),
        score_threshold=request.score_threshold,
        with_payload=selector(request.with_payload),
        with_vector=request.with_vector or False,
    )


def _prefetches(asked: models.Prefetch | Sequence[models.Prefetch] | None) -> list[edge.Prefetch]:
    if asked is None:
        return []
    each = [asked] if isinstance(asked, models.Prefetch) else asked
    return [
        edge.Prefetch(
            limit=10 if prefetch.limit is None else prefetch.limit,
            query=_query(prefetch.query, prefetch.using),
            prefetches=_prefetches(prefetch.prefetch),
            filter=filter_(prefetch.filter),
            score_threshold=prefetch.score_threshold,
        )
        for prefetch in each
    ]


def _query(query: Any, using: str | None) -> Any:
    match query:
        case None:
            return None
        case models.RrfQuery():
            return edge.Fusion.Rrf(query.rrf.k or 2, query.rrf.weights)
        case models.FusionQuery(fusion=models.Fusion.RRF):
            return edge.Fusion.Rrf(2)
        case models.NearestQuery():
            return edge.Query.Nearest(_vector(query.nearest), using=using)
        case list() | models.SparseVector():
            return edge.Query.Nearest(_vector(query), using=using)
    raise bad_input(f"this test server knows no query of the kind {type(query).__name__}")


def order_by(asked: Any) -> edge.OrderBy | None:
    if asked is None:
        return None
    key = asked if isinstance(asked, str) else asked.key
    descending = isinstance(asked, models.OrderBy) and asked.direction == models.Direction.DESC
    return edge.OrderBy(key, edge.Direction.Desc if descending else edge.Direction.Asc)


def selector(asked: Any) -> Any:
    match asked:
        case None | bool() | list():
            return asked or False
        case models.PayloadSelectorInclude():
            return edge.PayloadSelector.Include(asked.include)
        case models.PayloadSelectorExclude():
            return edge.PayloadSelector.Exclude(asked.exclude)
    raise bad_input(f"unknown payload selector {asked!r}")


def filter_(asked: models.Filter | None) -> Any:
    if asked is None:
        return None
    if asked.min_should is not None:
        raise bad_input("this test server knows no min_should")
    return edge.Filter(
        must=_conditions(asked.must), should=_conditions(asked.should), must_not=_conditions(asked.must_not)
    )


def _conditions(asked: Any) -> list[Any] | None:
    if asked is None:
        return None
    return [_condition(condition) for condition in (asked if isinstance(asked, list) else [asked])]


def _condition(condition: Any) -> Any:
    match condition:
        case models.Filter():
            return filter_(condition)
        case models.HasIdCondition():
            return edge.HasIdCondition(set(condition.has_id))
        case models.IsEmptyCondition():
            return edge.IsEmptyCondition(condition.is_empty.key)
        case models.FieldCondition(range=models.Range() as range_):
            bounds = edge.RangeFloat(gte=range_.gte, gt=range_.gt, lte=range_.lte, lt=range_.lt)
            return edge.FieldCondition(condition.key, range=bounds)
        case models.FieldCondition(match=match) if match is not None:
            return _match(condition.key, match)
    raise bad_input(f"this test server knows no condition like {condition!r}")


def _match(key: str, match: Any) -> edge.FieldCondition:
    match match:
        case models.MatchValue(value=bool() as value):
            return edge.FieldCondition(booleans.shadow_key(key), match=edge.MatchValue(booleans.word(value)))
        case models.MatchValue(value=value):
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case models.MatchAny():
            return edge.FieldCondition(key, match=edge.MatchAny(match.any))
        case models.MatchExcept():
            return edge.FieldCondition(key, match=edge.MatchExcept(match.except_))
    raise bad_input(f"this test server knows no match like {match!r}")


def to_scored(point: edge.ScoredPoint) -> models.ScoredPoint:
    return models.ScoredPoint(
        id=_id(point.id),
        version=point.version,
        score=point.score,
        payload=_payload(point.payload),
        vector=_to_vectors(point.vector),
    )


def to_record(record: edge.Record) -> models.Record:
    return models.Record(id=_id(record.id), payload=_payload(record.payload), vector=_to_vectors(record.vector))


def _id(point_id: Any) -> int | str:
    return point_id if isinstance(point_id, int) else str(point_id)


def _payload(payload: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if payload is None else booleans.without_shadows(payload)


def _vectors(vector: Any) -> Any:
    return {name: _vector(value) for name, value in vector.items()} if isinstance(vector, dict) else _vector(vector)


def _vector(vector: Any) -> Any:
    if isinstance(vector, models.SparseVector):
        return edge.SparseVector(vector.indices, vector.values)
    if isinstance(vector, list):
        return vector
    raise bad_input(f"this test server knows no vector of the kind {type(vector).__name__}")


def _to_vectors(vector: Any) -> Any:
    if isinstance(vector, dict):
        return {name: _to_vectors(value) for name, value in vector.items()}
    if isinstance(vector, edge.SparseVector):
        return models.SparseVector(indices=vector.indices, values=vector.values)
    return vector
