"""A model of MiniLM-L6's shape with random weights: it costs what the real one costs, and needs no download.

Six layers of 384, a WordPiece vocabulary of 30,522 made of the corpus' own words; its vectors mean nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

LAYERS, HEADS, SIZE, INNER = 6, 12, 384, 1536
VOCABULARY, POSITIONS, CONTEXT = 30_522, 512, 256
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
OPSET, IR_VERSION = 17, 10

helper = onnx.helper


def write(folder: Path, texts: Iterable[str], *, layers: int = LAYERS, seed: int = 7) -> Path:
    """The folder, as EMBEDDING_MODEL may name it, now with model.onnx and what its tokenizer needs."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(texts).save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", model_max_length=CONTEXT, pad_token="[PAD]")
    _write_json(folder / "config.json", pooling="mean", normalize=True)
    (folder / "model.onnx").write_bytes(graph(layers, seed).SerializeToString())
    return folder


def tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Real words whole as far as the vocabulary reaches, the rest in pieces of one letter or two."""
    letters = [chr(code) for code in range(33, 127)]
    pairs = [first + second for first in "abcdefghijklmnopqrstuvwxyz" for second in "abcdefghijklmnopqrstuvwxyz"]
    pieces = [*SPECIAL, *letters, *pairs, *(f"##{piece}" for piece in (*letters, *pairs))]
    counted = Counter(word for text in texts for word in text.lower().split() if word.isalpha())
    known = set(pieces)
    words = [word for word, times in counted.most_common() if times > 1 and word not in known]
    made = [f"[unused{number}]" for number in range(VOCABULARY)]
    vocabulary = [*pieces, *words, *made][:VOCABULARY]
    found = Tokenizer(WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    found.normalizer = BertNormalizer(lowercase=True)
    found.pre_tokenizer = BertPreTokenizer()
    found.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    found.add_special_tokens(list(SPECIAL))
    return found


def graph(layers: int, seed: int) -> onnx.ModelProto:
    builder = _Builder(seed)
    hidden = builder.embeddings()
    for number in range(layers):
        hidden = builder.layer(f"layer{number}", hidden)
    builder.node("Identity", [hidden], "last_hidden_state")
    kinds = onnx.TensorProto
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    return helper.make_model(
        helper.make_graph(
            builder.nodes,
            "minilm-shaped",
            [helper.make_tensor_value_info(name, kinds.INT64, ["batch", "tokens"]) for name in inputs],
            [helper.make_tensor_value_info("last_hidden_state", kinds.FLOAT, ["batch", "tokens", SIZE])],
            builder.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


class _Builder:
    """BERT as PyTorch exports it, so that onnxruntime fuses it as it fuses the real one."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def embeddings(self) -> str:
        words = self.node("Gather", [self._matrix("words", VOCABULARY, SIZE), "input_ids"], "embedded.words")
        kinds = self.node("Gather", [self._matrix("kinds", 2, SIZE), "token_type_ids"], "embedded.kinds")
        shape = self.node("Shape", ["input_ids"], "input.shape")
        length = self.node("Gather", [shape, self._integers("one", 1)], "input.length")
        upto = self.node("Unsqueeze", [length, self._integers("axis0", [0])], "input.upto")
        ids = self._integers("position.ids", [list(range(POSITIONS))])
        here = self.node("Slice", [ids, self._integers("zero", [0]), upto, self._integers("axis1", [1])], "positions")
        places = self.node("Gather", [self._matrix("places", POSITIONS, SIZE), here], "embedded.places")
        total = self.node("Add", [self.node("Add", [words, kinds], "embedded.sum"), places], "embedded")
        self._mask()
        return self._normalized("embeddings", total)

    def _mask(self) -> None:
        wide = self.node("Unsqueeze", ["attention_mask", self._integers("axes12", [1, 2])], "mask.wide")
        kept = self.node("Cast", [wide], "mask.kept", to=onnx.TensorProto.FLOAT)
        gone = self.node("Sub", [self._floats("mask.one", 1.0), kept], "mask.gone")
        self.node("Mul", [gone, self._floats("mask.low", -3.4e38)], "mask")

    def layer(self, name: str, hidden: str) -> str:
        query, value = (self._heads(f"{name}.{part}", hidden, [0, 2, 1, 3]) for part in ("query", "value"))
        key = self._heads(f"{name}.key", hidden, [0, 2, 3, 1])
        scores = self.node("MatMul", [query, key], f"{name}.products")
        scaled = self.node("Div", [scores, self._floats(f"{name}.root", (SIZE / HEADS) ** 0.5)], f"{name}.scaled")
        masked = self.node("Add", [scaled, "mask"], f"{name}.masked")
        weights = self.node("Softmax", [masked], f"{name}.weights", axis=-1)
        mixed = self.node("MatMul", [weights, value], f"{name}.mixed")
        turned = self.node("Transpose", [mixed], f"{name}.turned", perm=[0, 2, 1, 3])
        flat = self.node("Reshape", [turned, self._integers(f"{name}.flat", [0, 0, SIZE])], f"{name}.context")
        attended = self._linear(f"{name}.output", flat, SIZE, SIZE)
        hidden = self._normalized(f"{name}.first", self.node("Add", [attended, hidden], f"{name}.first.sum"))
        inner = self._gelu(f"{name}.gelu", self._linear(f"{name}.inner", hidden, SIZE, INNER))
        outer = self._linear(f"{name}.outer", inner, INNER, SIZE)
        return self._normalized(f"{name}.second", self.node("Add", [outer, hidden], f"{name}.second.sum"))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _heads(self, name: str, hidden: str, order: list[int]) -> str:
        flat = self._linear(name, hidden, SIZE, SIZE)
        shape = self._integers(f"{name}.shape", [0, 0, HEADS, SIZE // HEADS])
        return self.node(
            "Transpose", [self.node("Reshape", [flat, shape], f"{name}.split")], f"{name}.heads", perm=order
        )

    def _linear(self, name: str, hidden: str, rows: int, columns: int) -> str:
        product = self.node("MatMul", [hidden, self._matrix(f"{name}.weight", rows, columns)], f"{name}.product")
        bias = self._weight(f"{name}.bias", np.zeros(columns, np.float32))
        return self.node("Add", [bias, product], f"{name}.linear")

    def _normalized(self, name: str, hidden: str) -> str:
        scale = self._weight(f"{name}.scale", np.ones(SIZE, np.float32))
        shift = self._weight(f"{name}.shift", np.zeros(SIZE, np.float32))
        return self.node("LayerNormalization", [hidden, scale, shift], f"{name}.norm", axis=-1, epsilon=1e-12)

    def _gelu(self, name: str, hidden: str) -> str:
        part = self.node("Div", [hidden, self._floats(f"{name}.root", 2**0.5)], f"{name}.part")
        risen = self.node(
            "Add", [self.node("Erf", [part], f"{name}.erf"), self._floats(f"{name}.one", 1.0)], f"{name}.up"
        )
        return self.node(
            "Mul", [self.node("Mul", [hidden, risen], f"{name}.twice"), self._floats(f"{name}.half", 0.5)], name
        )

    def _matrix(self, name: str, rows: int, columns: int) -> str:
        return self._weight(name, self._random.normal(0, 0.05, (rows, columns)).astype(np.float32))

    def _floats(self, name: str, value: float) -> str:
        return self._weight(name, np.array(value, np.float32))

    def _integers(self, name: str, value: object) -> str:
        return self._weight(name, np.array(value, np.int64))

    def _weight(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.append(onnx.numpy_helper.from_array(value, name))
        return name


def _write_json(path: Path, **content: object) -> None:
    path.write_text(json.dumps(content))
