"""The rendered ConfigMap is an environment that the runtime starts with, and means what the spec says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag_operator import crd, desired, variables
from rag_operator.desired import config
from rag_runtime import settings
from tests import builders, fields
from tests.builders import EMBEDDED, EXTERNAL, GEMINI


def loaded(**fields: Any) -> settings.Settings:
    return settings.load(config.environment(builders.app(**fields)))


def managed(**fields: Any) -> dict[str, Any]:
    return {"vectorStore": {"managed": fields}}


def tuned(**fields: Any) -> dict[str, Any]:
    return managed(tuning=fields)


@pytest.mark.parametrize("fields", [{}, EMBEDDED, {**EXTERNAL, **GEMINI}])
def test_the_runtime_accepts_it(fields: dict[str, Any]) -> None:
    assert loaded(**fields).port == 8000


@pytest.mark.parametrize(
    ("field", "fields", "value"),
    [
        ("embedding_model", {"embedding": {"dense": {"model": "m"}}}, "m"),
        ("sparse_model", {"embedding": {"sparse": {"model": "s"}}}, "s"),
        ("sparse_language", {"embedding": {"sparse": {"language": "german"}}}, "german"),
        ("csv_chunk_tokens", {"chunking": {"csv": {"tokens": 41}}}, 41),
        ("csv_chunk_max_tokens", {"chunking": {"csv": {"maxTokens": 333}}}, 333),
        ("pdf_chunk_tokens", {"chunking": {"pdf": {"tokens": 42}}}, 42),
        ("pdf_chunk_max_tokens", {"chunking": {"pdf": {"maxTokens": 334}}}, 334),
        ("ingest_batch_size", {"ingest": {"batchSize": 5}}, 5),
        ("qdrant_max_points_per_upsert", {"ingest": {"maxPointsPerUpsert": 6}}, 6),
        ("qdrant_upsert_retries", {"ingest": {"upsertRetries": 0}}, 0),
        ("qdrant_upsert_backoff_base", {"ingest": {"upsertBackoffBase": 0.25}}, 0.25),
        ("max_upload_mb", {"ingest": {"maxUploadMB": 7}}, 7),
        ("late_interaction_model", {"embedding": {"lateInteraction": {"model": "colbert"}}}, "colbert"),
        ("enable_local_routing", {"retrieval": {"localRouting": False}}, False),
        ("summary_max_top_k", {"retrieval": {"summaryMaxTopK": 7}}, 7),
        ("style_detailed_max_words", {"generation": {"detailedMaxWords": 99}}, 99),
        ("playground_enabled", {"playground": False}, False),
        ("ssl_cert_path", {"access": {"tls": {"secretRef": {"name": "cert"}}}}, Path("/etc/ragops/tls/tls.crt")),
        ("ssl_key_path", {"access": {"tls": {"secretRef": {"name": "cert"}}}}, Path("/etc/ragops/tls/tls.key")),
        ("collection_adopt", {"vectorStore": {"adopt": True}}, True),
        ("cache_max_entries", {"retrieval": {"cache": {"maxEntries": 0}}}, 0),
        ("cache_ttl", {"retrieval": {"cache": {"ttlSeconds": 9}}}, 9),
        ("qdrant_shards", managed(replicas=3), 3),
        ("qdrant_shards", managed(replicas=3, shards=12), 12),
        ("qdrant_replication_factor", managed(replicas=3), 2),
        ("qdrant_replication_factor", managed(replicas=3, replicationFactor=3), 3),
        ("qdrant_write_consistency_factor", managed(replicas=3, writeConsistencyFactor=2), 2),
        ("qdrant_hnsw_m", tuned(hnswM=32), 32),
        ("qdrant_hnsw_ef_construct", tuned(hnswEfConstruct=300), 300),
        ("qdrant_full_scan_threshold", tuned(fullScanThreshold=11), 11),
        ("qdrant_max_indexing_threads", tuned(maxIndexingThreads=0), 0),
        ("qdrant_quantization", tuned(quantization="none"), "none"),
        ("qdrant_quantization_quantile", tuned(quantizationQuantile=0.9), 0.9),
        ("qdrant_quantization_always_ram", tuned(quantizationAlwaysRam=False), False),
        ("qdrant_segments", tuned(segments=8), 8),
        ("qdrant_max_segment_size", tuned(maxSegmentSize=5000), 5000),
        ("qdrant_memmap_threshold", tuned(memmapThreshold=7), 7),
        ("qdrant_indexing_threshold", tuned(indexingThreshold=8), 8),
        ("qdrant_flush_interval", tuned(flushIntervalSeconds=5), 5),
        ("qdrant_max_optimization_threads", tuned(maxOptimizationThreads=1), 1),
        ("score_floor", {"retrieval": {"scoreFloor": 0.125}}, 0.125),
        ("generation_provider", {}, "extractive"),
        ("generation_provider", GEMINI, "gemini"),
        ("gemini_model", {"generation": {"model": "gemini-x"}}, "gemini-x"),
        ("gemini_timeout", {"generation": {"timeoutSeconds": 9}}, 9),
        ("collection_name", {"vectorStore": {"collection": "papers"}}, "papers"),
        ("collection_name", {}, "team-handbook"),
        ("api_key_required", {}, True),
        ("api_key_required", {"access": {"apiKeyRequired": False}}, False),
        ("rate_limit_requests", {"access": {"rateLimit": {"requests": 3}}}, 3),
        ("rate_limit_window", {"access": {"rateLimit": {"windowSeconds": 4}}}, 4),
        ("cors_origins", {"access": {"corsOrigins": ["https://a", "https://b"]}}, ("https://a", "https://b")),
        ("log_level", {"logging": {"level": "DEBUG"}}, "DEBUG"),
        ("qdrant_url", {}, "http://handbook-qdrant.team.svc:6333"),
        ("qdrant_url", EMBEDDED, None),
        ("qdrant_url", EXTERNAL, "https://qdrant.example.com:6333"),
    ],
)
def test_a_field_of_the_spec_reaches_the_runtime(field: str, fields: dict[str, Any], value: object) -> None:
    assert getattr(loaded(**fields), field) == value


def test_what_the_spec_leaves_open_is_the_runtimes_own_default() -> None:
    own = settings.load({})
    ours = loaded()
    meant = {"host", "data_dir", "collection_name", "collection_owner", "qdrant_url", "generation_provider"}
    meant |= {"api_key_required", "api_keys_file"}
    different = {name for name in settings.Settings.model_fields if getattr(own, name) != getattr(ours, name)}
    assert different == meant


def numbers(schema: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The bounds of every bounded number below a schema, by its path."""
    found = {}
    for name, child in schema.get("properties", {}).items():
        if "minimum" in child and "maximum" in child:
            found[name] = (child["minimum"], child["maximum"])
        found |= {f"{name}.{path}": bounds for path, bounds in numbers(child).items()}
    return found


def nested(path: str, value: object) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: nested(rest, value) if rest else value}


SCHEMA = crd.build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


@pytest.mark.parametrize("path", numbers(SCHEMA))
@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
def test_whatever_the_schema_lets_through_the_runtime_takes(path: str, end: int) -> None:
    """The two halves have ranges of their own: the resource's must lie within the runtime's."""
    fields = nested(path, numbers(SCHEMA)[path][end])
    if path.endswith(".tokens"):
        fields["chunking"][path.split(".")[1]]["maxTokens"] = 8192
    if path.endswith(".maxTokens"):
        fields["chunking"][path.split(".")[1]]["tokens"] = 32
    if path.endswith(".writeConsistencyFactor"):
        fields = managed(replicas=64, replicationFactor=64, **fields["vectorStore"]["managed"])
    loaded(**fields)


# Fields that are the cluster's business, and no pod is told of.
OF_THE_CLUSTER = [
    "image",
    "replicas",
    "autoscaling",
    "resources",
    "service",
    "ingress",
    "monitoring",
    "probes",
    "podTemplate",
    "deletionPolicy",
    "suspend",
    "generation.apiKeySecretRef",
    "access.tls",
    "access.allowedFrom",
    "vectorStore.embedded",
    "vectorStore.external.apiKeySecretRef",
    "vectorStore.managed.replicas",
    "vectorStore.managed.image",
    "vectorStore.managed.storage",
    "vectorStore.managed.resources",
    "vectorStore.managed.podTemplate",
]


@pytest.mark.parametrize("path", fields.LEAVES, ids=".".join)
def test_a_field_that_the_runtime_reads_has_exactly_one_variable(path: fields.Steps) -> None:
    """When this fails for a new field: render it in desired/config.py, or name it above."""
    before, after = (config.environment(builders.app(**spec)) for spec in fields.pair(path))
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    silent = any(".".join(path).startswith(prefix) for prefix in OF_THE_CLUSTER)
    assert len(differing) == (0 if silent else 1), differing


EVERYTHING: dict[str, Any] = {
    **GEMINI,
    **tuned(maxSegmentSize=5000),
    "generation": {**GEMINI["generation"], "model": "m"},
    "embedding": {"lateInteraction": {"model": "c"}},
    "access": {"tls": {"secretRef": {"name": "cert"}}},
}


def test_the_variables_that_nobody_else_may_set_are_those_that_the_operator_sets() -> None:
    rendered = {
        variable["name"]
        for body in desired.build(builders.app(**EVERYTHING), builders.inputs()).children
        if body["kind"] == "Deployment"
        for variable in body["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert config.environment(builders.app(**EVERYTHING)).keys() | rendered == variables.RUNTIME


def test_every_such_variable_is_one_of_the_runtimes() -> None:
    assert {name.lower() for name in variables.RUNTIME} <= settings.Settings.model_fields.keys()
