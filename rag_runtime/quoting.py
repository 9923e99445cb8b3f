"""Find the words of a chunk that bear on a question: spans, and how well each covers it. Pure, and of no language."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag_runtime.domain import Chunk, Citation, Hit, PlaceKind

WORD = re.compile(r"\w+")
# The end of a sentence: a stop after a word of three letters or more ("z. B." and "Fig. 3" go on), or a blank line.
SENTENCE_END = re.compile(r"(?:(?<=\w{3})|(?<=[)\]}\"'»”]))[.!?…]+[)\]\"'»”]*(?=\s+\S)|[。\uff01\uff1f]|\n\s*\n")
MAX_SPAN_CHARACTERS = 700
# Two words are forms of one when they share this many first letters, and most of the longer one.
STEM_LETTERS = 5
STEM_SHARE = 0.6
STEM_CREDIT = 0.8


@dataclass(frozen=True, slots=True)
class Quote:
    """A span of a hit, and which share of the question's weight it covers (0 to 1)."""

    hit: Hit
    start: int
    end: int
    coverage: float

    @property
    def text(self) -> str:
        return self.hit.chunk.text[self.start : self.end]


def words(text: str) -> list[str]:
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def spans(chunk: Chunk) -> list[tuple[int, int]]:
    """The quotable pieces of a chunk: its rows in a table, else its sentences."""
    if chunk.place_kind is PlaceKind.ROW and chunk.marks:
        cuts = [*(mark.offset for mark in chunk.marks), len(chunk.text)]
    else:
        cuts = [0, *(match.end() for match in SENTENCE_END.finditer(chunk.text)), len(chunk.text)]
    return [span for begin, end in pairwise(cuts) if (span := _trimmed(chunk.text, begin, end))]


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int] | None:
    piece = text[begin:end]
    start = begin + len(piece) - len(piece.lstrip())
    stop = min(begin + len(piece.rstrip()), start + MAX_SPAN_CHARACTERS)
    return (start, stop) if WORD.search(text, start, stop) else None


def ranked_quotes(question: str, hits: Sequence[Hit]) -> list[Quote]:
    """Every span of the hits, the one that answers best first."""
    pieces = [(hit, start, end, frozenset(words(hit.chunk.text[start:end]))) for hit, (start, end) in _all_spans(hits)]
    weights = _weights(question, [bag for *_, bag in pieces])
    total = sum(weights.values())
    if not total:
        return []
    quotes = [Quote(hit, start, end, _covered(weights, bag) / total) for hit, start, end, bag in pieces]
    order = {id(hit): rank for rank, hit in enumerate(hits)}
    return sorted(quotes, key=lambda quote: (-_merit(quote, order[id(quote.hit)]), order[id(quote.hit)], quote.start))


def best_quote(text: str, hit: Hit) -> Quote:
    """The span of this hit that `text` leans on; the whole chunk where no word is shared."""
    quotes = ranked_quotes(text, [hit])
    if quotes and quotes[0].coverage > 0:
        return quotes[0]
    return Quote(hit, 0, min(len(hit.chunk.text), MAX_SPAN_CHARACTERS), 0.0)


def to_citation(quote: Quote) -> Citation:
    chunk = quote.hit.chunk
    place = chunk.place_at(quote.start)
    return Citation(
        document_id=chunk.document_id,
        source=chunk.source,
        text=quote.text,
        score=quote.hit.score,
        page=place if chunk.place_kind is PlaceKind.PAGE else None,
        row=place if chunk.place_kind is PlaceKind.ROW else None,
    )


def _all_spans(hits: Sequence[Hit]) -> Iterable[tuple[Hit, tuple[int, int]]]:
    return ((hit, span) for hit in hits for span in spans(hit.chunk))


def _weights(question: str, bags: Sequence[frozenset[str]]) -> dict[str, float]:
    """Rare words weigh more than common ones, as the candidates themselves show; short ones are mostly grammar."""
    seen = Counter(word for bag in bags for word in bag)
    return {
        word: math.log1p(len(bags) / (1 + seen[word])) * (1.0 if word.isdigit() else min(1.0, len(word) / 5))
        for word in dict.fromkeys(words(question))
    }


def _covered(weights: dict[str, float], bag: frozenset[str]) -> float:
    return sum(weight * _match(word, bag) for word, weight in weights.items())


def _match(word: str, bag: frozenset[str]) -> float:
    if word in bag:
        return 1.0
    if len(word) < STEM_LETTERS:
        return 0.0
    stem = word[:STEM_LETTERS]
    return STEM_CREDIT if any(other.startswith(stem) and _is_form(word, other) for other in bag) else 0.0


def _is_form(word: str, other: str) -> bool:
    shared = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    return shared >= STEM_SHARE * max(len(word), len(other))


def _merit(quote: Quote, rank: int) -> float:
    """Coverage first; the search's own order and brevity decide between spans that cover alike."""
    length = quote.end - quote.start
    return quote.coverage * (1.0 + 0.15 / (1 + rank)) * (1.0 - 0.1 * min(1.0, length / MAX_SPAN_CHARACTERS))
