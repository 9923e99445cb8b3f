"""Finds and loads models by fastembed: the bundled one, those it knows by name, and folders.

Importing this imports huggingface_hub, which reads HF_ENDPOINT then and never again: see `fastembed.load`.
"""

from __future__ import annotations

import atexit
import difflib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastembed import LateInteractionTextEmbedding, SparseTextEmbedding, TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from fastembed.sparse.bm25 import supported_languages
from tokenizers import Tokenizer

from rag_runtime.adapters import bundled, checksums
from rag_runtime.adapters.fastembed import BM25, Models
from rag_runtime.adapters.stopwords import stop_words
from rag_runtime.errors import ModelUnavailable

# fastembed supposes 256 terms in a text, but a chunk of 150 tokens has 50 to 110 without its stop words. On Cranfield
# BM25 alone gains 0.013 of nDCG@10, and the fused search 0.003 with each of six lists of stop words.
_TERMS_OF_A_CHUNK = 100.0

# Architectures of fastembed whose steps a folder's model goes through.
_LATE_LIKE, _SPARSE_LIKE = "colbert-ir/colbertv2.0", "prithivida/Splade_PP_en_v1"

_POOLINGS = {
    "mean": PoolingType.MEAN,
    "cls": PoolingType.CLS,
    "last_token": PoolingType.LAST_TOKEN,
    "none": PoolingType.DISABLED,
}
_Kind = type[TextEmbedding] | type[SparseTextEmbedding] | type[LateInteractionTextEmbedding]
_KINDS: tuple[_Kind, ...] = (TextEmbedding, SparseTextEmbedding, LateInteractionTextEmbedding)

_PAD_TOKENS = ("[PAD]", "<pad>", "<|endoftext|>", "</s>", "[UNK]", "<unk>")
_DEFAULT_CONTEXT = 512


def load_dense(name: str, cache_dir: Path, *, threads: int = 1) -> TextEmbedding:
    with _explained("EMBEDDING_MODEL", name, cache_dir):
        if name == bundled.NAME:
            return _dense_folder(bundled.folder(cache_dir), threads)
        if is_folder(name):
            return _dense_folder(Path(name), threads)
        _check_known("EMBEDDING_MODEL", name, (TextEmbedding,))
        return TextEmbedding(name, cache_dir=str(cache_dir), threads=threads)


def load_sparse(name: str, language: str, cache_dir: Path, *, threads: int = 1) -> SparseTextEmbedding:
    if name == BM25:
        return _bm25(language)
    with _explained("SPARSE_MODEL", name, cache_dir):
        if is_folder(name):
            path = str(_with_model(Path(name)))
            return SparseTextEmbedding(_SPARSE_LIKE, cache_dir=path, threads=threads, specific_model_path=path)
        _check_known("SPARSE_MODEL", name, (SparseTextEmbedding,))
        return SparseTextEmbedding(name, cache_dir=str(cache_dir), threads=threads)


def load_late(name: str, cache_dir: Path, *, threads: int = 1) -> LateInteractionTextEmbedding:
    with _explained("LATE_INTERACTION_MODEL", name, cache_dir):
        if is_folder(name):
            path = str(_with_model(Path(name)))
            return LateInteractionTextEmbedding(_LATE_LIKE, cache_dir=path, threads=threads, specific_model_path=path)
        _check_known("LATE_INTERACTION_MODEL", name, (LateInteractionTextEmbedding,))
        return LateInteractionTextEmbedding(name, cache_dir=str(cache_dir), threads=threads)


def bake(names: Sequence[str], cache_dir: Path) -> None:
    """Put models where a pod without a network finds them."""
    for name in names:
        with _explained("model to bake", name, cache_dir):
            if name == bundled.NAME:
                bundled.build_in(cache_dir)
            elif name != BM25:
                _check_known("model to bake", name, _KINDS)
                kind = next(kind for kind in _KINDS if name.lower() in _names(kind))
                kind(name, cache_dir=str(cache_dir), lazy_load=True)


def is_folder(name: str) -> bool:
    return (Path(name) / "model.onnx").is_file()


def identity(name: str) -> str:
    """What tells this model's vectors from those of another: its name, or for a folder what is in it."""
    if name == bundled.NAME:
        return bundled.MODEL
    if not is_folder(name):
        return name
    with (Path(name) / "model.onnx").open("rb") as model:
        return f"{Path(name).name}@{hashlib.file_digest(model, 'sha256').hexdigest()[:16]}"


def sizes(models: Models) -> dict[str, int]:
    """Bytes of each model's weights on disk."""
    named = {"dense": models.dense, "sparse": models.sparse, "colbert": models.late}
    return {kind: _size(name, models.cache_dir) for kind, name in named.items() if name}


def _size(name: str, cache_dir: Path) -> int:
    if name == BM25:
        return 0
    if name == bundled.NAME:
        folder = bundled.folder(cache_dir)
    else:
        folder = Path(name) if is_folder(name) else _cached(name, cache_dir)
    return sum({path.resolve(): path.stat().st_size for path in folder.rglob("*.onnx*")}.values())


def _cached(name: str, cache_dir: Path) -> Path:
    """Where huggingface_hub keeps the model that fastembed fetches for a name."""
    known = (model for kind in _KINDS for model in kind.list_supported_models() if model["model"] == name)
    source = next((model["sources"].get("hf") for model in known), None)
    return cache_dir / f"models--{(source or name).replace('/', '--')}"


def _bm25(language: str) -> SparseTextEmbedding:
    # Nothing is read from the folders that it insists on.
    here = str(Path(__file__).parent)
    try:
        return SparseTextEmbedding(
            BM25,
            cache_dir=here,
            specific_model_path=here,
            language=language,
            stopwords=set(stop_words(language)),
            avg_len=_TERMS_OF_A_CHUNK,
        )
    except ValueError as unknown:
        raise ModelUnavailable(
            f"SPARSE_LANGUAGE={language} is no language that BM25 stems: choose one of {', '.join(supported_languages)}"
        ) from unknown


def _dense_folder(folder: Path, threads: int) -> TextEmbedding:
    checksums.check(folder)
    config = _json(folder / "config.json")
    pooling, normalize = config.get("pooling", "mean"), config.get("normalize", True)
    if pooling not in _POOLINGS or not isinstance(normalize, bool):
        raise ValueError(f"its config.json may say pooling ({', '.join(_POOLINGS)}) and normalize (true, false)")
    model_file = folder / "model.onnx"
    name = f"{folder.absolute()}#{pooling},{normalize}"
    if name.lower() not in _names(TextEmbedding):
        TextEmbedding.add_custom_model(
            name,
            pooling=_POOLINGS[pooling],
            normalization=normalize,
            sources=ModelSource(url=folder.absolute().as_uri()),
            dim=0,  # unknown before it has run; nothing of fastembed looks at it
            model_file=str(model_file.absolute()),
        )
    complete = _with_tokenizer_config(folder, config)
    return TextEmbedding(name, cache_dir=str(complete), threads=threads, specific_model_path=str(complete))


def _with_tokenizer_config(folder: Path, config: dict[str, Any]) -> Path:
    """The folder, or a copy of its tokenizer with the file that fastembed insists on beside it."""
    if (folder / "tokenizer_config.json").is_file():
        return folder
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    padding, truncation = tokenizer.padding or {}, tokenizer.truncation or {}
    known = (token for token in _PAD_TOKENS if tokenizer.token_to_id(token) is not None)
    pad_token = padding.get("pad_token") or next(known, None)
    if pad_token is None:
        raise ValueError("its tokenizer has no token to pad with: name one as pad_token in a tokenizer_config.json")
    context = truncation.get("max_length") or config.get("max_position_embeddings") or _DEFAULT_CONTEXT
    complete = Path(tempfile.mkdtemp(prefix="ragops-tokenizer-"))
    atexit.register(shutil.rmtree, complete, ignore_errors=True)
    shutil.copy(folder / "tokenizer.json", complete)
    (complete / "tokenizer_config.json").write_text(json.dumps({"model_max_length": context, "pad_token": pad_token}))
    return complete


def _with_model(folder: Path) -> Path:
    """The same, with the graph too, for the kinds of model whose file cannot be named apart."""
    complete = _with_tokenizer_config(folder, _json(folder / "config.json"))
    if complete != folder:
        (complete / "model.onnx").symlink_to((folder / "model.onnx").absolute())
    return complete


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise TypeError(f"its {path.name} is no JSON object")
    return content


def _names(kind: _Kind) -> dict[str, str]:
    """The models of a kind that fastembed knows, by their names in lower case."""
    return {str(model["model"]).lower(): str(model["model"]) for model in kind.list_supported_models()}


def _check_known(setting: str, name: str, kinds: Sequence[_Kind]) -> None:
    known = {lower: right for kind in kinds for lower, right in _names(kind).items()}
    if name.lower() in known:
        return
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {known[near[0]]}?" if near else "its documentation lists those it knows"
    raise ModelUnavailable(
        f"{setting}={name} is neither a model that fastembed knows nor a folder with model.onnx and tokenizer.json: "
        f"{hint}"
    )


@contextmanager
def _explained(setting: str, name: str, cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as failed:  # fastembed, huggingface_hub and onnxruntime share no root of their errors
        reason = " ".join(str(failed).split())[:300]
        if is_folder(name):
            raise ModelUnavailable(f"{setting}={name} is a folder whose model cannot be loaded: {reason}") from failed
        raise ModelUnavailable(
            f"{setting}={name} is not in {cache_dir} and cannot be fetched ({reason}): "
            "bake it into the image, name a folder that holds it, or set MODEL_MIRROR_URL"
        ) from failed
