"""A dense model's folder as another one with int8 weights, refused where its vectors are not nearly the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from rag_runtime.adapters import checksums, models
from rag_runtime.adapters.quantize import quantize
from rag_runtime.errors import ModelUnavailable

LEAST_COSINE = 0.99
# Of several lengths, as a short and a long text go through a model differently.
SAMPLES = (
    "When does boarding close for vehicles?",
    "life jackets",
    "Boarding closes twenty minutes before departure for vehicles, and ten for everybody else. " * 4,
    "vessel: Northern Light; built: 2018; yard: Remo Shipbuilding; passengers: 340; cars: 72; speed: 18",
)


def bake_int8(folder: Path, cache_dir: Path) -> Path:
    """Write `<cache_dir>/<name>-int8`, as EMBEDDING_MODEL may name it."""
    if not models.is_folder(str(folder)):
        raise ModelUnavailable(f"--int8 needs folders with model.onnx and tokenizer.json, and {folder} is none")
    target = cache_dir / f"{folder.name}-int8"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.onnx*", checksums.NAME))
    quantize(folder / "model.onnx", target / "model.onnx")
    checksums.write(target)
    found = cosine(folder, target)
    if found < LEAST_COSINE:
        shutil.rmtree(target)
        raise ModelUnavailable(
            f"{folder} loses too much as int8: cosine {found:.3f} to its own vectors, at least {LEAST_COSINE} is "
            "needed; bake it without --int8"
        )
    return target


def cosine(one: Path, other: Path) -> float:
    """The least of the samples."""
    first, second = (
        np.array(list(models.load_dense(str(folder), folder.parent).passage_embed(list(SAMPLES))))
        for folder in (one, other)
    )
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / norms).min())
