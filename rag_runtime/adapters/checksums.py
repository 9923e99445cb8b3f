"""What a baked model's files were when they were baked, so that a damaged or exchanged one is not loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rag_runtime.errors import ModelUnavailable

# In the form that `sha256sum --check` reads.
NAME = "SHA256SUMS"


def write(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != NAME)
    (folder / NAME).write_text("".join(f"{_sum(path)}  {path.name}\n" for path in files), encoding="utf-8")


def check(folder: Path) -> None:
    """Raise ModelUnavailable where a file is not what it was. A folder that nobody baked has nothing to check."""
    if not (folder / NAME).is_file():
        return
    for line in (folder / NAME).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file() or _sum(path) != expected:
            raise ModelUnavailable(f"{path} is not the file that was baked (SHA-256 differs): bake the model again")


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
