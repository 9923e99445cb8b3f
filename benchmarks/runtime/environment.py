"""What a run needs beside ragops: the frameworks in an environment of their own, the models, the corpus."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import corpus, minilm
from benchmarks.runtime import hub
from rag_runtime.adapters import bundled
from rag_runtime.adapters.fastembed import ModelTokenizer
from rag_runtime.adapters.models import load_dense
from rag_runtime.adapters.quantize import quantize
from rag_runtime.adapters.stopwords import stop_words

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build/benchmarks"
REQUIREMENTS = ROOT / "requirements/benchmarks.txt"
MODELS = ("fp32", "int8", "bundled")


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ragops"


def frameworks_python() -> Path:
    """Of an environment of their own, which is made where it is missing or other versions are pinned."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache() / f"benchmarks-{digest}"
    python = folder / "bin/python"
    if not (folder / ".installed").exists():
        print(f"installing LangChain, LlamaIndex and Haystack into {folder} (a minute or two)", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r"]
        subprocess.run([str(python), "-m", "pip", *install, str(REQUIREMENTS)], check=True)
        (folder / ".installed").touch()
    return python


def make_model(name: str, work: Path) -> Path:
    """The folder of the dense model."""
    if name == "bundled":
        return bundled.folder(cache() / "models")
    folder = work / "models" / name
    if folder.exists():
        return folder
    if name == "fp32":
        return minilm.write(folder, corpus.read_texts().abstracts)
    fp32 = make_model("fp32", work)
    folder.mkdir(parents=True)
    for path in fp32.glob("*.json"):
        shutil.copy(path, folder)
    quantize(fp32 / "model.onnx", folder / "model.onnx")
    return folder


def make_hub(model: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    hub.write(folder, model, sorted(stop_words("english")))
    return folder


def make_corpus(model: Path, chunks: int, path: Path) -> corpus.Texts:
    """Write the corpus, cut by the model's own tokens; what it was made of."""
    dense = load_dense(str(model), path.parent)
    texts = corpus.read_texts()
    assert dense.model.tokenizer is not None
    found = corpus.cut(texts, chunks, ModelTokenizer(dense.model.tokenizer))
    path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return texts
