from dataclasses import replace

from qdrant_client import models

from rag_runtime.adapters.server import schema
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId
from tests.stores import embedded, query, spec


def test_an_index_is_made_with_the_promised_figures() -> None:
    config = schema.index_config(spec(), Tuning())
    assert config["hnsw_config"].model_dump(exclude_none=True) == {
        "m": 16,
        "ef_construct": 200,
        "full_scan_threshold": 10_000,
        "max_indexing_threads": 4,
    }
    assert config["optimizers_config"].model_dump(exclude_none=True) == {
        "default_segment_number": 4,
        "memmap_threshold": 20_000,
        "indexing_threshold": 20_000,
        "flush_interval_sec": 30,
        "max_optimization_threads": 2,
    }
    int8 = config["vectors_config"]["dense"].quantization_config.scalar
    assert (int8.type, int8.quantile, int8.always_ram) == (models.ScalarType.INT8, 0.99, True)
    assert config["sparse_vectors_config"]["sparse"].modifier == models.Modifier.IDF
    assert [config[name] for name in ("shard_number", "replication_factor", "write_consistency_factor")] == [1, 1, 1]


def test_learned_sparse_weights_are_left_as_they_are() -> None:
    config = schema.index_config(replace(spec(), sparse_idf=False), Tuning())
    assert config["sparse_vectors_config"]["sparse"].modifier is None


def test_late_interaction_is_stored_without_a_graph() -> None:
    late = schema.index_config(spec(late=True), Tuning())["vectors_config"]["late"]
    assert late.hnsw_config.m == 0
    assert late.multivector_config.comparator == models.MultiVectorComparator.MAX_SIM


def test_quantization_can_be_off() -> None:
    assert (
        schema.index_config(spec(), Tuning(quantization=False))["vectors_config"]["dense"].quantization_config is None
    )


def test_a_staged_point_is_not_live() -> None:
    (one,) = embedded()
    point = schema.to_point(one)
    assert point.payload is not None
    assert point.payload["live"] is False
    assert point.id == one.chunk.id


def test_a_search_is_one_request_unless_more_is_asked_for() -> None:
    assert list(schema.search_requests(query())) == ["fused"]
    assert list(schema.search_requests(replace(query(), explain=True))) == ["fused", "dense", "sparse"]
    assert list(schema.search_requests(replace(query(late=True), explain=True))) == ["fused", "late", "dense", "sparse"]


def test_each_side_searches_only_what_is_published() -> None:
    fused = schema.search_requests(query())["fused"]
    assert isinstance(fused.prefetch, list)
    assert [prefetch.filter for prefetch in fused.prefetch] == [schema.PUBLISHED, schema.PUBLISHED]
    assert [prefetch.limit for prefetch in fused.prefetch] == [100, 100]
    assert fused.query == models.RrfQuery(rrf=models.Rrf(k=60))


def test_the_new_version_is_shown_before_the_old_one_goes() -> None:
    show, drop = schema.publication(DocumentId("d1"), "v2")
    assert isinstance(show, models.SetPayloadOperation)
    assert isinstance(drop, models.DeleteOperation)
