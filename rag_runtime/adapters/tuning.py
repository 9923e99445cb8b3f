"""How an index is built and searched. The defaults are the service's promise; each store applies what it has."""

from __future__ import annotations

from dataclasses import dataclass


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
    max_segment_size: int = 20_000
    memmap_threshold: int = 20_000
    indexing_threshold: int = 20_000
    flush_interval_sec: int = 30
    max_optimization_threads: int = 2
