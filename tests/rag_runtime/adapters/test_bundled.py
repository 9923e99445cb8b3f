from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import distribution
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from rag_runtime.adapters import bundled
from rag_runtime.errors import ModelUnavailable


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled.build_in(tmp_path_factory.mktemp("models"))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_graph_gives_each_token_its_row_of_the_weights(model: Path) -> None:
    weights = load_file(str(distribution("wordllama").locate_file("wordllama/weights/l2_supercat_256.safetensors")))
    session = onnxruntime.InferenceSession(str(model / "model.onnx"))
    tokens = np.array([[1, 31999, 7]], dtype=np.int64)
    (found,) = session.run(None, {"input_ids": tokens})
    assert np.array_equal(found[0], weights["embedding.weight"][tokens[0]].astype(np.float32))


def test_the_tokenizer_is_the_one_the_weights_were_made_for(model: Path) -> None:
    """The vocabulary counts as many words as there are rows, and no sign is added to a text."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 32_000
    assert tokenizer.encode("Wings lift").tokens == ["▁W", "ings", "▁lift"]


def test_what_is_baked_is_used_and_nothing_else_is_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_WEIGHTS", "no/such/file")
    assert bundled.folder(model.parent) == model


def test_two_processes_at_once_end_with_one_whole_model(model: Path, tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        folders = list(processes.map(bundled.build_in, [tmp_path] * 2))
    assert folders[0] == folders[1]
    assert [path.name for path in tmp_path.iterdir()] == [folders[0].name]
    assert digests(folders[0]) == digests(model)


def test_a_user_other_than_the_one_who_baked_it_may_read_it(model: Path) -> None:
    assert model.stat().st_mode & 0o005 == 0o005
    assert all(path.stat().st_mode & 0o004 for path in model.iterdir())


def test_where_the_cache_cannot_be_written_this_process_makes_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = bundled.folder(tmp_path / "file")
    assert (folder / "model.onnx").is_file()
    assert folder.parent.stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_written_the_error_names_the_folder_and_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    with pytest.raises(ModelUnavailable, match=r"file.*MODEL_CACHE_DIR"):
        bundled.folder(blocked)


def test_weights_that_are_not_the_expected_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundled._SHA256, bundled._WEIGHTS, "0" * 64)
    with pytest.raises(ModelUnavailable, match="not the file that is expected"):
        bundled.build_in(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_WEIGHTS", "wordllama/weights/none.safetensors")
    with pytest.raises(ModelUnavailable, match=r"none\.safetensors of the package wordllama"):
        bundled.build_in(tmp_path)
