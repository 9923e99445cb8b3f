"""How an index is built and searched. The defaults are the service's promise; each store applies what it has."""

from __future__ import annotations

from dataclasses import dataclass

from rag_runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes are in kB, as Qdrant counts them. `flush_interval_sec` 5 trades throughput for less to replay."""

    hnsw_m: int = 16
    hnsw_ef_construct: int = 200
    hnsw_full_scan_threshold: int = 10_000
    hnsw_max_indexing_threads: int = 4
    quantization: bool = True
    quantization_quantile: float = 0.99
    quantization_always_ram: bool = True
    default_segment_number: int = 4
    max_segment_size: int | None = None
    memmap_threshold: int = 20_000
    indexing_threshold: int = 20_000
    flush_interval_sec: int = 30
    max_optimization_threads: int = 2
    shards: int = 1
    replication_factor: int = 1
    write_consistency_factor: int = 1


def from_settings(settings: Settings) -> Tuning:
    return Tuning(
        hnsw_m=settings.qdrant_hnsw_m,
        hnsw_ef_construct=settings.qdrant_hnsw_ef_construct,
        hnsw_full_scan_threshold=settings.qdrant_full_scan_threshold,
        hnsw_max_indexing_threads=settings.qdrant_max_indexing_threads,
        quantization=settings.qdrant_quantization == "scalar",
        quantization_quantile=settings.qdrant_quantization_quantile,
        quantization_always_ram=settings.qdrant_quantization_always_ram,
        default_segment_number=settings.qdrant_segments,
        max_segment_size=settings.qdrant_max_segment_size,
        memmap_threshold=settings.qdrant_memmap_threshold,
        indexing_threshold=settings.qdrant_indexing_threshold,
        flush_interval_sec=settings.qdrant_flush_interval,
        max_optimization_threads=settings.qdrant_max_optimization_threads,
        shards=settings.qdrant_shards,
        replication_factor=settings.qdrant_replication_factor,
        write_consistency_factor=settings.qdrant_write_consistency_factor,
    )
