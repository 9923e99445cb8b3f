"""Texts to vectors by fastembed: dense, sparse and, where it is configured, late interaction.

Work runs in as many threads as there are processors, each text in one of them; the event loop only waits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag_runtime.adapters import cpus
from rag_runtime.domain import SparseVector, Vectors
from rag_runtime.errors import DocumentUnreadable, ModelUnavailable, RequestError

if TYPE_CHECKING:
    from fastembed import LateInteractionTextEmbedding, SparseEmbedding, SparseTextEmbedding, TextEmbedding
    from tokenizers import Encoding
    from tokenizers import Tokenizer as LibraryTokenizer

BM25 = "Qdrant/bm25"
# The processor's caches hold the work on so many chunks; more are slower and take much more memory.
BATCH = 8
# The tokenizer's memory is several hundred bytes a character.
_TOKENIZED_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Models:
    """Names as fastembed knows them, folders, or "bundled"; `workers` 0 is one for each processor."""

    dense: str = "bundled"
    sparse: str = BM25
    language: str = "english"
    late: str | None = None
    cache_dir: Path = Path("models")
    mirror_url: str | None = None
    workers: int = 0


def load(models: Models) -> FastEmbedder:
    """Load every model named; it takes a second or minutes, and raises ModelUnavailable."""
    # Each of our threads is one already, and a pool within the tokenizer would not survive a fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if models.mirror_url:
        os.environ["HF_ENDPOINT"] = models.mirror_url
    from rag_runtime.adapters import models as loader  # noqa: PLC0415 - huggingface_hub reads HF_ENDPOINT on import

    identity = {"dense": loader.identity(models.dense), "sparse": loader.identity(models.sparse)}
    if models.sparse == BM25:
        identity["language"] = models.language
    late = None
    if models.late:
        identity["late"] = loader.identity(models.late)
        late = loader.load_late(models.late, models.cache_dir)
    return FastEmbedder(
        loader.load_dense(models.dense, models.cache_dir),
        loader.load_sparse(models.sparse, models.language, models.cache_dir),
        late,
        identity=tuple(identity.items()),
        sizes=loader.sizes(models),
        workers=models.workers or cpus.available(),
    )


class ModelTokenizer:
    """The dense model's tokens. Its limit of tokens does not cut a text short here."""

    def __init__(self, tokenizer: LibraryTokenizer) -> None:
        self._tokenizer = tokenizer

    @property
    def max_tokens(self) -> int:
        """How many the model sees of a text, without the special ones that it adds."""
        truncation = self._tokenizer.truncation
        if truncation is None:
            return sys.maxsize
        limit: int = truncation["max_length"]
        return limit - self._tokenizer.num_special_tokens_to_add(False)

    def spans(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        start = 0
        while start < len(text):
            end = _block_end(text, start)
            encoding = self._tokenizer.encode(_encodable(text[start:end]))
            own = [span for part in (encoding, *encoding.overflowing) for span in _own_spans(part)]
            # A tokenizer that cuts on the left hands its parts out from the right.
            found += [(start + first, start + last) for first, last in sorted(own)]
            start = end
        return found


def _own_spans(encoding: Encoding) -> list[tuple[int, int]]:
    added = encoding.special_tokens_mask
    return [span for span, special in zip(encoding.offsets, added, strict=True) if not special]


def _block_end(text: str, start: int) -> int:
    """Where a block that is tokenized at once ends: before a space, if there is one in its last tenth."""
    end = start + _TOKENIZED_AT_ONCE
    if end >= len(text):
        return len(text)
    space = text.rfind(" ", end - _TOKENIZED_AT_ONCE // 10, end)
    return space if space > start else end


class FastEmbedder:
    """An Embedder. `identity` names the models, for the index that their vectors may share."""

    def __init__(
        self,
        dense: TextEmbedding,
        sparse: SparseTextEmbedding,
        late: LateInteractionTextEmbedding | None = None,
        *,
        identity: tuple[tuple[str, str], ...],
        workers: int,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._dense, self._sparse, self._late = dense, sparse, late
        self.identity = identity
        self.sizes = sizes or {}
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="embed")
        self._tokenizer = ModelTokenizer(_tokenizer_of(dense))
        probe = self._query("probe")
        self._dense_size: int = probe.dense.shape[0]
        self._late_size: int | None = None if probe.late is None else probe.late.shape[1]

    @property
    def model(self) -> str:
        return dict(self.identity)["dense"]

    @property
    def dense_size(self) -> int:
        return self._dense_size

    @property
    def late_size(self) -> int | None:
        return self._late_size

    @property
    def tokenizer(self) -> ModelTokenizer:
        return self._tokenizer

    async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
        # Texts of like length share a batch, which is padded to its longest.
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        loop = asyncio.get_running_loop()
        done = await asyncio.gather(
            *(loop.run_in_executor(self._pool, self._documents, [texts[n] for n in batch]) for batch in batches)
        )
        by_number = dict(zip(order, (vectors for batch in done for vectors in batch), strict=True))
        return [by_number[number] for number in range(len(texts))]

    async def embed_query(self, text: str) -> Vectors:
        vectors = await asyncio.get_running_loop().run_in_executor(self._pool, self._query, text)
        if not _is_sound(vectors, self._dense_size):
            raise RequestError(f"the model {self.model} has no finite vector for this text: word it otherwise")
        return vectors

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _documents(self, texts: list[str]) -> list[Vectors]:
        texts = [_encodable(text) for text in texts]
        dense = self._dense.passage_embed(texts, batch_size=BATCH)
        sparse = self._sparse.passage_embed(texts, batch_size=BATCH)
        late = [None] * len(texts) if self._late is None else self._late.passage_embed(texts, batch_size=BATCH)
        vectors = [_to_vectors(*each) for each in zip(dense, sparse, late, strict=True)]
        if not all(_is_sound(each, self._dense_size) for each in vectors):
            raise DocumentUnreadable(f"the model {self.model} has no finite vector for a part of it")
        return vectors

    def _query(self, text: str) -> Vectors:
        text = _encodable(text)
        late = None if self._late is None else next(iter(self._late.query_embed(text)))
        return _to_vectors(next(iter(self._dense.query_embed(text))), next(iter(self._sparse.query_embed(text))), late)


def _tokenizer_of(dense: TextEmbedding) -> LibraryTokenizer:
    tokenizer: LibraryTokenizer | None = getattr(dense.model, "tokenizer", None)
    if tokenizer is None:
        raise ModelUnavailable(f"the model {dense.model_name} has no tokenizer of its own: choose another")
    return tokenizer


def _to_vectors(dense: NDArray[np.generic], sparse: SparseEmbedding, late: NDArray[np.generic] | None) -> Vectors:
    return Vectors(
        np.asarray(dense, dtype=np.float32),
        SparseVector(np.asarray(sparse.indices, dtype=np.uint32), np.asarray(sparse.values, dtype=np.float32)),
        None if late is None else np.asarray(late, dtype=np.float32),
    )


def _is_sound(vectors: Vectors, size: int) -> bool:
    arrays = [vectors.dense, vectors.sparse.values] + ([] if vectors.late is None else [vectors.late])
    return vectors.dense.shape == (size,) and all(bool(np.isfinite(array).all()) for array in arrays)


def _encodable(text: str) -> str:
    """Lone surrogates, which no tokenizer takes, as question marks: each is one character still."""
    return text.encode("utf-8", "replace").decode()
