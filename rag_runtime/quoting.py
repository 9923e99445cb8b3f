"""Find the words of a chunk that bear on a question: spans, and how well each covers it. Pure, and of no language."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rag_runtime.domain import Chunk, Citation, Hit, PlaceKind

WORD = re.compile(r"[^\W_]+")
# The end of a sentence: a stop after a word of three letters or more ("z. B." goes on), or a blank line; and a line
# that is followed by a numbered heading ("Definition 5") or by an item of a list.
SENTENCE_END = re.compile(
    # Only these begin an end: without that, each letter would be tried in four ways.
    r"(?=[.!?…。\uff01\uff1f\n])(?:"
    r"(?:(?<=\w{3})|(?<=[)\]}\"'»”]))[.!?…]+[)\]\"'»”]*(?=\s+\S)|[。\uff01\uff1f]|\n\s*\n"
    r"|\n(?=\s*(?:[^\W\d_]{3,} \d+(?:\.\d+)*\b|[a-z0-9]{1,2}\)|[-*•\u2013]\s)))"
)
MAX_SPAN_CHARACTERS = 700
# They make a question, and say nothing of what it is about. Of other languages, shortness alone is held against a word.
QUESTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        who whom whose what when where which why how does did was were
        wer wen wem wessen wann wo wie warum wieso welche welcher welches welchem welchen
        qui que quoi quand où comment pourquoi quel quelle quién qué cuándo dónde cómo cuál chi che quando dove quale
        """,
    )
)
QUESTION_WORD_WEIGHT = 0.2
# A question is seldom answered by another one.
QUESTION_SHARE = 0.5
# Two words are forms of one when they share this many first letters, and most of the longer one.
STEM_LETTERS = 5
STEM_SHARE = 0.6
STEM_CREDIT = 0.8
# Whose words are remembered: each takes some 10 kB.
KEPT_CHUNKS = 512


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
    return _spans(*_cutting(chunk))


def _cutting(chunk: Chunk) -> tuple[str, tuple[int, ...]]:
    """All that its spans depend on: the text, and where the rows of a table begin."""
    rows = chunk.marks if chunk.place_kind is PlaceKind.ROW else ()
    return chunk.text, tuple([mark.offset for mark in rows])


def _spans(text: str, rows: Sequence[int]) -> list[tuple[int, int]]:
    begins = rows or (0, *(match.end() for match in SENTENCE_END.finditer(text)))
    return [span for begin, end in pairwise((*begins, len(text))) if (span := _trimmed(text, begin, end))]


def _trimmed(text: str, begin: int, end: int) -> tuple[int, int] | None:
    piece = text[begin:end]
    start = begin + len(piece) - len(piece.lstrip())
    stop = min(begin + len(piece.rstrip()), start + MAX_SPAN_CHARACTERS)
    return (start, stop) if WORD.search(text, start, stop) else None


def ranked_quotes(question: str, hits: Sequence[Hit]) -> list[Quote]:
    """Every span of the hits, the one that answers best first."""
    pieces = [_Piece(rank, hit, span) for rank, hit in enumerate(hits) for span in _worded(*_cutting(hit.chunk))]
    asked = words(question)
    weights = _weights(asked, [piece.bag for piece in pieces])
    total = sum(weights.values())
    if not total:
        return []
    forms = _forms(weights, frozenset().union(*(piece.bag for piece in pieces)))
    wanted = frozenset(weights).union(*forms.values())
    pairs = frozenset(pairwise(asked))
    merits = []
    for piece in pieces:
        # Most share no word with the question, and cost nothing more.
        coverage = 0.0 if wanted.isdisjoint(piece.bag) else _covered(weights, forms, piece.bag) / total
        merits.append((_merit(piece, coverage, pairs) if coverage else 0.0, piece, coverage))
    merits.sort(key=lambda judged: (-judged[0], judged[1].rank, judged[1].start))
    return [Quote(piece.hit, piece.start, piece.end, coverage) for _, piece, coverage in merits]


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


_Worded = tuple[int, int, list[str], frozenset[str]]


class _Piece:
    """A span with its words. `rank` is its hit's, from 0."""

    __slots__ = ("bag", "end", "hit", "rank", "start", "words")

    def __init__(self, rank: int, hit: Hit, worded: _Worded) -> None:
        self.rank, self.hit = rank, hit
        self.start, self.end, self.words, self.bag = worded


@lru_cache(KEPT_CHUNKS)
def _worded(text: str, rows: tuple[int, ...]) -> Sequence[_Worded]:
    """A chunk's spans with their words. Popular chunks are found again and again."""
    found = []
    for start, end in _spans(text, rows):
        its = words(text[start:end])
        found.append((start, end, its, frozenset(its)))
    return found


def _weights(asked: Sequence[str], bags: Sequence[frozenset[str]]) -> dict[str, float]:
    """Rare words weigh more than common ones, as the candidates themselves show; short ones are mostly grammar."""
    return {word: _rarity(word, bags) * _substance(word) for word in dict.fromkeys(asked)}


def _rarity(word: str, bags: Sequence[frozenset[str]]) -> float:
    seen = sum([word in bag for bag in bags])
    return math.log1p(len(bags) / (1 + max(1, seen)))


def _substance(word: str) -> float:
    if word in QUESTION_WORDS:
        return QUESTION_WORD_WEIGHT
    return 1.0 if word.isdigit() else min(1.0, len(word) / 5)


def _covered(weights: Mapping[str, float], forms: Mapping[str, frozenset[str]], bag: frozenset[str]) -> float:
    exact = sum(weight for word, weight in weights.items() if word in bag)
    near = sum(weights[word] for word, others in forms.items() if word not in bag and not others.isdisjoint(bag))
    return exact + STEM_CREDIT * near


def _forms(asked: Iterable[str], vocabulary: frozenset[str]) -> dict[str, frozenset[str]]:
    """For each word that is asked for, the other forms of it that occur, where there are any."""
    long = [word for word in asked if len(word) >= STEM_LETTERS]
    stems = {word[:STEM_LETTERS] for word in long}
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for other in [other for other in vocabulary if other[:STEM_LETTERS] in stems]:
        by_stem[other[:STEM_LETTERS]].append(other)
    near = {word: frozenset(o for o in by_stem.get(word[:STEM_LETTERS], ()) if _is_form(word, o)) for word in long}
    return {word: others for word, others in near.items() if others}


def _is_form(word: str, other: str) -> bool:
    shared = next((n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    return shared >= STEM_SHARE * max(len(word), len(other))


def _merit(piece: _Piece, coverage: float, pairs: frozenset[tuple[str, str]]) -> float:
    """Coverage first; then words that stand together as they do in the question, the search's order, and brevity."""
    together = len(pairs.intersection(pairwise(piece.words))) / len(pairs) if pairs else 0.0
    is_row = piece.hit.chunk.place_kind is PlaceKind.ROW
    brevity = 1.0 if is_row else 1.0 / (1.0 + (piece.end - piece.start) / 1000)
    if piece.hit.chunk.text[piece.end - 1] == "?":
        brevity *= QUESTION_SHARE
    return coverage * (1.0 + 0.25 * together) * (1.0 + 0.15 / (1 + piece.rank)) * brevity
