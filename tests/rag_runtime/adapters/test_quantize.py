from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks import minilm
from rag_runtime.adapters.quantize import quantize


def test_int8_weights_are_smaller_and_point_the_same_way(tmp_path: Path) -> None:
    model = minilm.write(tmp_path, ["words of a vocabulary"], layers=2) / "model.onnx"
    quantize(model, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.9 * model.stat().st_size
    before, after = _pooled(model), _pooled(tmp_path / "int8.onnx")
    cosines = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert cosines.min() > 0.99


def _pooled(model: Path) -> NDArray[np.float32]:
    ids = np.random.default_rng(3).integers(0, minilm.VOCABULARY, (4, 24))
    session = onnxruntime.InferenceSession(str(model))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    (vectors,) = session.run(None, inputs)
    pooled: NDArray[np.float32] = vectors.mean(1)
    return pooled
