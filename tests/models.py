"""Models that need no download: stand-ins for the ones a user may name by a folder."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

SPECIAL = ("[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_lookup(folder: Path, vectors: NDArray[np.float32]) -> None:
    """A graph that gives each token its row."""
    helper, kinds = onnx.helper, onnx.TensorProto
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["vectors", "input_ids"], ["last_hidden_state"])],
        "lookup",
        [helper.make_tensor_value_info(name, kinds.INT64, ["batch", "tokens"]) for name in names],
        [helper.make_tensor_value_info("last_hidden_state", kinds.FLOAT, ["batch", "tokens", vectors.shape[1]])],
        [onnx.numpy_helper.from_array(vectors, "vectors")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def bert_tokenizer(max_length: int | None = None) -> Tokenizer:
    """BERT's steps over a vocabulary of letters: every word is cut into them."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    if max_length:
        tokenizer.enable_truncation(max_length)
    return tokenizer


def write_bert_like(folder: Path, *, size: int = 16, seed: int = 7) -> Path:
    """Random vectors for BERT-like tokens: the mechanics of a model, and nothing of its sense."""
    tokenizer = bert_tokenizer()
    write_lookup(folder, np.random.default_rng(seed).normal(size=(tokenizer.get_vocab_size(), size)).astype(np.float32))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_config(folder: Path, name: str, **content: object) -> None:
    (folder / name).write_text(json.dumps(content))
