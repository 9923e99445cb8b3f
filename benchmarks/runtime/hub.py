"""A folder laid out like the hub's cache, where fastembed finds the models without a network, for the frameworks.

Runs in their environment: nothing of ragops is imported.
"""

from __future__ import annotations

import os
from pathlib import Path

DENSE = "ragops/benchmark"
BM25 = "Qdrant/bm25"
REVISION = "0" * 40


def write(hub: Path, model: Path, stop_words: list[str]) -> None:
    """Called by the benchmark, once for each model."""
    for name, source in ((path.name, path) for path in model.iterdir()):
        _link(hub, DENSE, name, source)
    words = hub / "english.txt"
    words.write_text("\n".join(stop_words))
    from fastembed.sparse.bm25 import supported_bm25_models

    for description in supported_bm25_models:
        for name in (description.model_file, *description.additional_files):
            _link(hub, BM25, name, words)


def _link(hub: Path, repository: str, name: str, source: Path) -> None:
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(REVISION)
    if not (snapshot / name).exists():
        os.link(source, snapshot / name)


def use(hub: Path) -> int:
    """Have fastembed know the dense model and look nowhere else; how many dimensions it has."""
    os.environ["FASTEMBED_CACHE_PATH"] = str(hub)
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        DENSE,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=DENSE),
        dim=0,
        model_file="model.onnx",
    )
    return len(next(iter(TextEmbedding(DENSE).query_embed("how many dimensions?"))))
