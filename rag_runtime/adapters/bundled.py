"""The model that needs no hub: the static word vectors of the wordllama package, as a graph that onnxruntime runs.

The graph has one node, which looks the tokens up; pooling is fastembed's, as for every model.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from rag_runtime.adapters import checksums
from rag_runtime.errors import ModelUnavailable

NAME = "bundled"
MODEL = "wordllama/l2-supercat-256"

_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
# Despite its name this is the whole tokenizer, vocabulary and merges included.
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_SHA256 = {
    _WEIGHTS: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    _TOKENIZER: "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
}
_FOLDER = f"{NAME}-{_SHA256[_WEIGHTS][:8]}-{_SHA256[_TOKENIZER][:8]}"

# Word vectors have no context length; this bounds the work for one text.
_MAX_TOKENS = 8192
_OPSET, _IR_VERSION = 17, 10


def folder(cache_dir: Path) -> Path:
    """The model's folder: the baked one, else made in the cache folder, else for this process alone."""
    if (cache_dir / _FOLDER).is_dir():
        return cache_dir / _FOLDER
    try:
        return build_in(cache_dir)
    except OSError:
        # A shared folder for all would let another user of the machine plant a model.
        return build_in(_own_folder(cache_dir))


def build_in(cache_dir: Path) -> Path:
    """Make the model there, unless it is; two processes at once end with one whole folder."""
    target = cache_dir / _FOLDER
    if target.is_dir():
        return target
    tokenizer, weights = _read(_TOKENIZER), _read(_WEIGHTS)
    cache_dir.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=cache_dir))
    try:
        # An image is built by one user and run by another.
        unfinished.chmod(0o755)
        _write(unfinished, tokenizer, weights)
        unfinished.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


@functools.cache
def _own_folder(cache_dir: Path) -> Path:
    try:
        own = Path(tempfile.mkdtemp(prefix="ragops-models-"))
    except OSError as full:
        raise ModelUnavailable(
            f"the bundled model cannot be written to {cache_dir} nor to a temporary folder ({full}): "
            "bake it into the image, or set MODEL_CACHE_DIR to a folder that can be written"
        ) from full
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def _read(name: str) -> bytes:
    try:
        content = Path(str(distribution("wordllama").locate_file(name))).read_bytes()
    except (PackageNotFoundError, OSError) as missing:
        raise ModelUnavailable(
            f"the bundled model needs {name} of the package wordllama, which is not installed: "
            "install ragops[runtime], or set EMBEDDING_MODEL to another model"
        ) from missing
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise ModelUnavailable(f"{name} is not the file that is expected: install the version that ragops asks for")
    return content


def _write(target: Path, tokenizer: bytes, weights: bytes) -> None:
    settings = json.loads(tokenizer)
    # It would add a sign for the beginning of a text, which is a word like any other to a mean.
    settings["post_processor"] = None
    (target / "tokenizer.json").write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps({"model_max_length": _MAX_TOKENS, "pad_token": "<unk>"}))
    (target / "model.onnx").write_bytes(_graph(weights))
    checksums.write(target)


def _graph(weights: bytes) -> bytes:
    # Only whoever makes the model pays for these.
    import numpy as np  # noqa: PLC0415
    import onnx  # noqa: PLC0415
    import safetensors.numpy  # noqa: PLC0415

    (vectors,) = safetensors.numpy.load(weights).values()
    size = vectors.shape[1]
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("Gather", ["vectors", "input_ids"], ["last_hidden_state"])],
        MODEL,
        [helper.make_tensor_value_info("input_ids", kinds.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("last_hidden_state", kinds.FLOAT, ["batch", "tokens", size])],
        [onnx.numpy_helper.from_array(vectors.astype(np.float32), "vectors")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
