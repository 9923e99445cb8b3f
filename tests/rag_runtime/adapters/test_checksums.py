"""Baked models whose files changed since are refused at the load."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag_runtime.adapters import bundled, checksums, models
from rag_runtime.errors import ModelUnavailable
from tests.models import write_bert_like


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_changed_file_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    folder = write_bert_like(tmp_path / "mini")
    checksums.write(folder)
    models.load_dense(str(folder), tmp_path)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelUnavailable, match=rf"{name} is not the file that was baked .*bake the model again"):
        models.load_dense(str(folder), tmp_path)


def test_the_bundled_model_is_checked_too(tmp_path: Path) -> None:
    (bundled.build_in(tmp_path) / "model.onnx").write_bytes(b"cut")
    with pytest.raises(ModelUnavailable, match="not the file that was baked"):
        models.load_dense(bundled.NAME, tmp_path)
