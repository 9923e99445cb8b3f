"""Baking with int8 weights: nearly the same vectors, or a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import minilm
from rag_runtime.adapters import int8
from rag_runtime.errors import ModelUnavailable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return minilm.write(tmp_path_factory.mktemp("model") / "mini", int8.SAMPLES, layers=1)


def test_the_vectors_are_nearly_the_same_and_the_weights_smaller(folder: Path, tmp_path: Path) -> None:
    target = int8.bake_int8(folder, tmp_path)
    assert target == tmp_path / "mini-int8"
    assert int8.cosine(folder, target) >= int8.LEAST_COSINE
    assert (target / "model.onnx").stat().st_size < (folder / "model.onnx").stat().st_size


def test_what_loses_too_much_is_refused_and_not_left_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LEAST_COSINE", 1.1)
    with pytest.raises(ModelUnavailable, match="loses too much as int8: cosine"):
        int8.bake_int8(folder, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_a_folder_can_be_quantized(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="--int8 needs folders"):
        int8.bake_int8(tmp_path / "none", tmp_path)
