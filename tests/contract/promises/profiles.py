"""Settings that the tests start services with. One service shows many variables, as each start costs seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.contract.promises.services import certify
from tests.gemini_server import KEY
from tests.models import write_bert_like

TUNING = {
    "QDRANT_HNSW_M": "24",
    "QDRANT_HNSW_EF_CONSTRUCT": "120",
    "QDRANT_FULL_SCAN_THRESHOLD": "5000",
    "QDRANT_MAX_INDEXING_THREADS": "1",
    "QDRANT_QUANTIZATION": "scalar",
    "QDRANT_QUANTIZATION_QUANTILE": "0.95",
    "QDRANT_QUANTIZATION_ALWAYS_RAM": "0",
    "QDRANT_SEGMENTS": "2",
    "QDRANT_MAX_SEGMENT_SIZE": "50000",
    "QDRANT_MEMMAP_THRESHOLD": "30000",
    "QDRANT_INDEXING_THRESHOLD": "10000",
    "QDRANT_FLUSH_INTERVAL": "5",
    "QDRANT_MAX_OPTIMIZATION_THREADS": "1",
    "QDRANT_SHARDS": "2",
    "QDRANT_REPLICATION_FACTOR": "1",
    "QDRANT_WRITE_CONSISTENCY_FACTOR": "1",
}


@dataclass(frozen=True)
class Place:
    """What profiles are made of: a folder, the stand-in for Gemini, and a port that was free a moment ago."""

    folder: Path
    gemini_url: str
    port: int


def plain(_: Place) -> dict[str, str]:
    return {}


def tuned(_: Place) -> dict[str, str]:
    return TUNING | {
        "CSV_CHUNK_TOKENS": "32",
        "CSV_CHUNK_MAX_TOKENS": "40",
        "PDF_CHUNK_TOKENS": "32",
        "PDF_CHUNK_MAX_TOKENS": "40",
        "INGEST_BATCH_SIZE": "2",
        "QDRANT_MAX_POINTS_PER_UPSERT": "1",
        "QDRANT_UPSERT_RETRIES": "2",
        "QDRANT_UPSERT_BACKOFF_BASE": "0.01",
        "QDRANT_TIMEOUT": "5",
        "QDRANT_DEBUG": "1",
        "EMBEDDING_DEBUG": "1",
        "ENABLE_LOCAL_ROUTING": "0",
        "STYLE_DETAILED_MAX_WORDS": "10",
        "SPARSE_LANGUAGE": "german",
        "HEALTH_CHECK_INTERVAL": "0.1",
        "CACHE_MAX_ENTRIES": "0",
        "PLAYGROUND_ENABLED": "0",
        "MCP_ENABLED": "0",
        "GENERATION_PROVIDER": "extractive",
        "GEMINI_API_KEY": "never-used",
    }


def guarded(place: Place) -> dict[str, str]:
    """TLS on another address, keys, and limits that are soon reached. Every test has a key of its own."""
    certify(place.folder, "first.example")
    folder = place.folder / "keys-1"
    folder.mkdir()
    digest = hashlib.sha256(b"hashed-key").hexdigest()
    (folder / "keys").write_text(f"reader query read-key\nwriter query,ingest sha256:{digest}\n")
    (place.folder / "keys").symlink_to(folder.name)
    return {
        "HOST": "127.0.0.2",
        "PORT": str(place.port),
        "SSL_CERT_PATH": str(place.folder / "tls.crt"),
        "SSL_KEY_PATH": str(place.folder / "tls.key"),
        "LOG_LEVEL": "ERROR",
        "API_KEY_REQUIRED": "1",
        "API_KEYS": ",".join(["root", *(f"n{number}:query:key-{number}" for number in range(10))]),
        "API_KEYS_FILE": str(place.folder / "keys/keys"),
        "RATE_LIMIT_REQUESTS": "30",
        "RATE_LIMIT_WINDOW": "3600",
        "TRUSTED_PROXIES": "127.0.0.1",
        "CORS_ORIGINS": "https://app.example",
        "MAX_UPLOAD_MB": "1",
        "METRICS_ENABLED": "0",
        "MEMORY_THRESHOLD_MB": "1",
    }


def answering(place: Place) -> dict[str, str]:
    """Models from folders, and the stand-in for Gemini."""
    sizes = {"dense": 16, "late": 24}
    folders = {name: place.folder / f"model-{name}" for name in sizes}
    for name, size in sizes.items():
        write_bert_like(folders[name], size=size)
    return {
        "EMBEDDING_MODEL": str(folders["dense"]),
        "LATE_INTERACTION_MODEL": str(folders["late"]),
        "GENERATION_PROVIDER": "gemini",
        "GEMINI_API_KEY": KEY,
        "GEMINI_MODEL": "gemini-of-tests",
        "GEMINI_BASE_URL": place.gemini_url,
        "GEMINI_TIMEOUT": "1",
        "SUMMARY_MAX_TOP_K": "7",
        "SCORE_FLOOR": "0.012",
        "CSV_CHUNK_TOKENS": "32",
        "PDF_CHUNK_TOKENS": "32",
    }


PROFILES: dict[str, Callable[[Place], dict[str, str]]] = {
    profile.__name__: profile for profile in (plain, tuned, guarded, answering)
}
