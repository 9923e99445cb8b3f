"""The runtime's environment, and the fingerprint that rolls its pods when it changes. Pure.

This is the contract between the two products: every name here is a field of the runtime's settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.spec import EmbeddedStore, ExternalStore, ManagedStore, RagPipeline
from rag_operator.spec.access import Access
from rag_operator.spec.runtime import Chunking, Embedding, Ingest, Retrieval
from rag_operator.spec.store import Tuning


def build_config(app: RagPipeline) -> Body:
    return build_object(names.CONFIG_MAP, app, app.name, names.RUNTIME, data=environment(app))


def environment(app: RagPipeline) -> dict[str, str]:
    """The variables; what the spec leaves open is left to the runtime's own default."""
    spec = app.spec
    return {
        "HOST": "0.0.0.0",  # noqa: S104 - a pod's address is known only once it runs
        "PORT": str(names.HTTP_PORT),
        "DATA_DIR": names.DATA_FOLDER,
        "COLLECTION_NAME": app.collection,
        "COLLECTION_OWNER": f"{app.namespace}/{app.name}",
        "COLLECTION_ADOPT": _flag(spec.vector_store.adopt),
        "LOG_LEVEL": spec.logging.level,
        "PLAYGROUND_ENABLED": _flag(spec.playground),
        **_store(app),
        **_embedding(spec.embedding),
        **_chunking(spec.chunking),
        **_ingest(spec.ingest),
        **_retrieval(spec.retrieval),
        **_generation(app),
        **_access(spec.access),
    }


def config_hash(app: RagPipeline, values: Mapping[str, str], fingerprints: Mapping[str, str]) -> str:
    """Changes when a pod would have to be started anew. API keys are no part of it: they are re-read from a mount."""
    whole = json.dumps([app.uid, sorted(values.items()), sorted(fingerprints.items())])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def fingerprint(app: RagPipeline, value: str) -> str:
    """Tells two values of a secret apart without telling the value; salted, so that equal secrets look different."""
    return hashlib.sha256(f"{app.uid}/{value}".encode()).hexdigest()[:16]


def _store(app: RagPipeline) -> dict[str, str]:
    if isinstance(app.store, EmbeddedStore):
        return {}
    if isinstance(app.store, ExternalStore):
        return {"QDRANT_URL": app.store.url}
    return {"QDRANT_URL": names.qdrant_url(app.name, app.namespace), **_copies(app.store), **_tuning(app.store.tuning)}


def _copies(store: ManagedStore) -> dict[str, str]:
    return {
        "QDRANT_SHARDS": str(store.shards),
        "QDRANT_REPLICATION_FACTOR": str(store.replication_factor),
        "QDRANT_WRITE_CONSISTENCY_FACTOR": str(store.write_consistency_factor),
    }


def _tuning(tuning: Tuning) -> dict[str, str]:
    size = tuning.max_segment_size
    return {
        "QDRANT_HNSW_M": str(tuning.hnsw_m),
        "QDRANT_HNSW_EF_CONSTRUCT": str(tuning.hnsw_ef_construct),
        "QDRANT_FULL_SCAN_THRESHOLD": str(tuning.full_scan_threshold),
        "QDRANT_MAX_INDEXING_THREADS": str(tuning.max_indexing_threads),
        "QDRANT_QUANTIZATION": tuning.quantization,
        "QDRANT_QUANTIZATION_QUANTILE": _number(tuning.quantization_quantile),
        "QDRANT_QUANTIZATION_ALWAYS_RAM": _flag(tuning.quantization_always_ram),
        "QDRANT_SEGMENTS": str(tuning.segments),
        **({"QDRANT_MAX_SEGMENT_SIZE": str(size)} if size else {}),
        "QDRANT_MEMMAP_THRESHOLD": str(tuning.memmap_threshold),
        "QDRANT_INDEXING_THRESHOLD": str(tuning.indexing_threshold),
        "QDRANT_FLUSH_INTERVAL": str(tuning.flush_interval_seconds),
        "QDRANT_MAX_OPTIMIZATION_THREADS": str(tuning.max_optimization_threads),
    }


def _embedding(embedding: Embedding) -> dict[str, str]:
    return {
        "EMBEDDING_MODEL": embedding.dense.model,
        "SPARSE_MODEL": embedding.sparse.model,
        "SPARSE_LANGUAGE": embedding.sparse.language,
        **({"LATE_INTERACTION_MODEL": embedding.late_interaction.model} if embedding.late_interaction else {}),
    }


def _chunking(chunking: Chunking) -> dict[str, str]:
    return {
        "CSV_CHUNK_TOKENS": str(chunking.csv.tokens),
        "CSV_CHUNK_MAX_TOKENS": str(chunking.csv.max_tokens),
        "PDF_CHUNK_TOKENS": str(chunking.pdf.tokens),
        "PDF_CHUNK_MAX_TOKENS": str(chunking.pdf.max_tokens),
    }


def _ingest(ingest: Ingest) -> dict[str, str]:
    return {
        "INGEST_BATCH_SIZE": str(ingest.batch_size),
        "QDRANT_MAX_POINTS_PER_UPSERT": str(ingest.max_points_per_upsert),
        "QDRANT_UPSERT_RETRIES": str(ingest.upsert_retries),
        "QDRANT_UPSERT_BACKOFF_BASE": _number(ingest.upsert_backoff_base),
        "MAX_UPLOAD_MB": str(ingest.max_upload_mb),
    }


def _retrieval(retrieval: Retrieval) -> dict[str, str]:
    return {
        "ENABLE_LOCAL_ROUTING": _flag(retrieval.local_routing),
        "SUMMARY_MAX_TOP_K": str(retrieval.summary_max_top_k),
        "SCORE_FLOOR": _number(retrieval.score_floor),
        "CACHE_MAX_ENTRIES": str(retrieval.cache.max_entries),
        "CACHE_TTL": str(retrieval.cache.ttl_seconds),
    }


def _generation(app: RagPipeline) -> dict[str, str]:
    model = app.spec.generation.model
    return {
        "GENERATION_PROVIDER": app.provider,
        "GEMINI_TIMEOUT": str(app.spec.generation.timeout_seconds),
        "STYLE_DETAILED_MAX_WORDS": str(app.spec.generation.detailed_max_words),
        **({"GEMINI_MODEL": model} if model else {}),
    }


def _access(access: Access) -> dict[str, str]:
    return {
        "API_KEY_REQUIRED": _flag(access.api_key_required),
        "API_KEYS_FILE": f"{names.KEYS_FOLDER}/{names.KEYS_FILE}",
        "RATE_LIMIT_REQUESTS": str(access.rate_limit.requests),
        "RATE_LIMIT_WINDOW": str(access.rate_limit.window_seconds),
        "CORS_ORIGINS": ",".join(access.cors_origins),
        **(_tls() if access.tls else {}),
    }


def _tls() -> dict[str, str]:
    return {
        "SSL_CERT_PATH": f"{names.TLS_FOLDER}/{names.TLS_CERT}",
        "SSL_KEY_PATH": f"{names.TLS_FOLDER}/{names.TLS_KEY}",
    }


def _flag(value: bool) -> str:
    return "1" if value else "0"


def _number(value: float) -> str:
    # All the digits there are, and none for a whole number: it is the pods' fingerprint too.
    return f"{value:.15g}"
