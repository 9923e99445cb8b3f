"""What the store's process is told when it starts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag_runtime.adapters.tuning import Tuning
from rag_runtime.ports import IndexSpec


@dataclass(frozen=True, slots=True)
class Opening:
    """`disk_reserve_bytes` stay free: the engine maps sparse files, and a full disk under a map kills the process."""

    spec: IndexSpec
    data_dir: Path
    owner: str
    adopt: bool
    tuning: Tuning
    disk_reserve_bytes: int
