"""What is measured with: chunks of about 150 tokens of real text, and real questions.

The text is Cranfield's abstracts, several to a document, each pass over them in another order until there are enough
chunks. Where RAGOPS_TEST_DATA names no such folder, words are drawn by their usual frequencies instead.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import DocumentId
from rag_runtime.loading import from_text
from rag_runtime.ports import Tokenizer

ABSTRACTS_IN_A_DOCUMENT = 20
DRAWN_TEXTS, DRAWN_WORDS, DRAWN_VOCABULARY = 1400, 150, 8000


@dataclass(frozen=True)
class Texts:
    abstracts: Sequence[str]
    questions: Sequence[str]
    is_real: bool


@dataclass(frozen=True)
class Corpus:
    """Documents as ragops is sent them, and the chunks that it makes of them, which the others are given."""

    documents: Sequence[str]
    chunks: Sequence[str]


def read_texts() -> Texts:
    folder = os.environ.get("RAGOPS_TEST_DATA")
    if folder and (Path(folder) / "cranfield/documents.csv").is_file():
        cranfield = Path(folder) / "cranfield"
        abstracts = [row["text"] for row in _rows(cranfield / "documents.csv") if row["text"].strip()]
        return Texts(abstracts, [row["text"] for row in _rows(cranfield / "queries.csv")], is_real=True)
    return _drawn(random.Random(7))


def cut(texts: Texts, chunks: int, tokenizer: Tokenizer) -> Corpus:
    """Exactly so many chunks: the last document is shortened to what is still wanted."""
    documents: list[str] = []
    found: list[str] = []
    for document in _documents(texts):
        pieces = _chunks(document, tokenizer)[: chunks - len(found)]
        shortened = document[: document.rindex(pieces[-1]) + len(pieces[-1])]
        # Its end may be cut otherwise once it is shorter: what counts is what ragops will make of it.
        pieces = _chunks(shortened, tokenizer)
        documents.append(shortened)
        found += pieces
        if len(found) >= chunks:
            return Corpus(documents, found)
    raise AssertionError("the documents never end")


def _documents(texts: Texts) -> Iterator[str]:
    for number in count():
        order = list(texts.abstracts)
        if number:
            random.Random(number).shuffle(order)
        parts = iter(order)
        while group := list(islice(parts, ABSTRACTS_IN_A_DOCUMENT)):
            # One running text: a blank line would have each pass cut the same chunks.
            yield " ".join(group)


def _chunks(document: str, tokenizer: Tokenizer) -> list[str]:
    loaded = from_text(document, source="corpus", document_id=DocumentId("corpus")).document
    return [chunk.text for chunk in chunk_document(loaded, ChunkLimits(), tokenizer, index_key="corpus")]


def _drawn(chance: random.Random) -> Texts:
    """Words by Zipf's law, so that BM25 has common and rare ones."""
    letters = "etaoinshrdlu"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(DRAWN_VOCABULARY)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]

    def text(length: int) -> str:
        drawn = chance.choices(words, weights, k=length)
        return " ".join(f"{word}." if chance.random() < 0.06 else word for word in drawn)

    abstracts = [text(chance.randint(DRAWN_WORDS // 2, DRAWN_WORDS * 3 // 2)) for _ in range(DRAWN_TEXTS)]
    return Texts(abstracts, [text(chance.randint(8, 26)) for _ in range(225)], is_real=False)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
