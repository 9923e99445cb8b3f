from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag_runtime.adapters import models
from rag_runtime.adapters.bake import main as bake
from rag_runtime.errors import ModelUnavailable
from tests.models import write_bert_like, write_config


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is not looked for on the network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def vector(folder: Path, text: str = "wing") -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    model = models.load_dense(str(folder), folder.parent)
    return np.asarray(next(iter(model.query_embed(text))), dtype=np.float32)


def test_a_folder_with_graph_and_tokenizer_is_a_model_of_normalized_means(tmp_path: Path) -> None:
    found = vector(write_bert_like(tmp_path / "mini"))
    assert found.shape == (16,)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_its_config_says_otherwise_where_it_does(tmp_path: Path) -> None:
    mean = vector(write_bert_like(tmp_path / "mini"))
    write_config(tmp_path / "mini", "config.json", pooling="cls", normalize=False)
    first = vector(tmp_path / "mini")
    assert np.linalg.norm(first) != pytest.approx(1, abs=1e-3)
    assert not np.allclose(first / np.linalg.norm(first), mean, atol=1e-3)


def test_its_own_context_length_holds(tmp_path: Path) -> None:
    write_bert_like(tmp_path / "mini")
    write_config(tmp_path / "mini", "tokenizer_config.json", model_max_length=8, pad_token="[PAD]")
    assert np.array_equal(vector(tmp_path / "mini", "abcdef"), vector(tmp_path / "mini", "abcdefgh"))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", '{"pooling": "max"}', r"pooling \(mean, cls"),
        ("config.json", "[]", "no JSON object"),
        ("tokenizer.json", "{}", "Model missing"),
        ("model.onnx", "nonsense", "model"),
    ],
)
def test_a_folder_with_a_broken_file_is_named(tmp_path: Path, name: str, content: str, reason: str) -> None:
    folder = write_bert_like(tmp_path / "mini")
    (folder / name).write_text(content)
    with pytest.raises(ModelUnavailable, match=f"EMBEDDING_MODEL={folder}.*{reason}"):
        models.load_dense(str(folder), tmp_path)


def test_a_misspelt_name_is_answered_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"EMBEDDING_MODEL=BAAI/bge-smal-en-v1\.5 .*did you mean BAAI/bge-small"):
        models.load_dense("BAAI/bge-smal-en-v1.5", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"SPARSE_MODEL=bm25 .*did you mean Qdrant/bm25"):
        models.load_sparse("bm25", "english", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"LATE_INTERACTION_MODEL=colbert"):
        models.load_late("colbert", tmp_path)


def test_a_model_that_is_not_baked_and_cannot_be_fetched_names_the_folder_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=rf"BAAI/bge-small-en-v1.5 is not in {tmp_path}.*MODEL_MIRROR_URL"):
        models.load_dense("BAAI/bge-small-en-v1.5", tmp_path)


def test_bm25_needs_no_file_and_knows_its_languages(tmp_path: Path) -> None:
    german = models.load_sparse(models.BM25, "german", tmp_path / "missing")
    assert len(next(iter(german.query_embed("die Flügel der Flugzeuge"))).indices) == 2
    with pytest.raises(ModelUnavailable, match=r"SPARSE_LANGUAGE=klingon .*english"):
        models.load_sparse(models.BM25, "klingon", tmp_path)


def test_the_identity_of_a_folder_is_what_is_in_it(tmp_path: Path) -> None:
    one, same = (models.identity(str(write_bert_like(tmp_path / place / "mini"))) for place in "ab")
    other = models.identity(str(write_bert_like(tmp_path / "c" / "mini", seed=8)))
    assert one == same != other
    assert models.identity("BAAI/bge-small-en-v1.5") == "BAAI/bge-small-en-v1.5"


def test_baking_puts_the_bundled_model_where_it_is_looked_for(tmp_path: Path) -> None:
    bake(["--cache-dir", str(tmp_path / "models"), "bundled", "Qdrant/bm25"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert models.load_dense("bundled", tmp_path / "models").model_name.startswith(str(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_baking_refuses_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no/such"):
        bake(["--cache-dir", str(tmp_path), "no/such"])
