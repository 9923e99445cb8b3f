"""Documents to chunks that the embedding model takes whole. Pure: no files, no clock, no model but its tokenizer.

A text up to the maximum is one chunk. A longer one is cut near the target, at the best boundary there is, and what is
left becomes one chunk as soon as it fits. Prose flows on across pages; rows are grouped whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID, uuid5

from rag_runtime.domain import Chunk, Document, Mark, Passage, PlaceKind
from rag_runtime.ports import Tokenizer

# Part of every chunk's id: raise it when the same document would be cut otherwise.
CHUNKER_VERSION = "1"

SMALLEST_MAXIMUM = 32

_IDS = UUID("5c2a3f0e-6f0b-5d0f-9a54-0f3d4a1f7c11")

# Some tokenizers make one token of any word they don't know, however long, and none of spaces.
_CHARACTERS_PER_TOKEN = 16
_BLOCK_CHARACTERS = 65_536

# From the best place to cut to the worst; the match's end is where the next piece begins.
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"[.!?…][\"'”’»)\]]*\s+|[。！？]")  # noqa: RUF001 - full-width marks end sentences
_LINE = re.compile(r"\n")
_NOT_SPACE = re.compile(r"\S")
_WORD = re.compile(r"\s+|[;,/|]")
_BOUNDARIES = (_PARAGRAPH, _SENTENCE, _LINE, _WORD)

# A row is "column: value; column: value", as loading/csv.py writes it.
_COLUMN = re.compile(r"(?:^|; )([^:;\n]{1,80}: )")


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Tokens of a chunk: what a cut aims at, and what no chunk exceeds."""

    target: int = 150
    maximum: int = 250

    def __post_init__(self) -> None:
        if self.maximum < SMALLEST_MAXIMUM:
            raise ValueError(f"a chunk's maximum of {self.maximum} tokens is too small: {SMALLEST_MAXIMUM} or more")
        if not 0 < self.target <= self.maximum:
            raise ValueError(f"a chunk's target of {self.target} tokens must be between 1 and {self.maximum}")


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    marks: tuple[Mark, ...] = ()


def chunk_document(document: Document, limits: ChunkLimits, tokenizer: Tokenizer, *, index_key: str) -> Iterator[Chunk]:
    """Cut a document, as far as chunks are asked for; `index_key` names model and index: equal ids are equal points."""
    cut = _cut_rows if document.place_kind is PlaceKind.ROW else _cut_prose
    for ordinal, piece in enumerate(cut(document.passages, _Cutter(limits, tokenizer))):
        yield Chunk(
            id=_chunk_id(document, ordinal, index_key),
            document_id=document.id,
            source=document.source,
            ordinal=ordinal,
            text=piece.text,
            content_hash=document.content_hash,
            place_kind=document.place_kind,
            marks=piece.marks,
            metadata=document.metadata,
            format=document.format,
        )


def _chunk_id(document: Document, ordinal: int, index_key: str) -> str:
    parts = (document.id, document.content_hash, CHUNKER_VERSION, index_key, str(ordinal))
    return str(uuid5(_IDS, "\x1f".join(parts)))


def _cut_prose(passages: Sequence[Passage], cutter: _Cutter) -> Iterator[_Piece]:
    text, starts = _lines(passages), _starts(passages)
    for start, end in cutter.ranges(text):
        yield _Piece(text[start:end], _marks(passages, starts, start, end))


def _marks(passages: Sequence[Passage], starts: Sequence[int], start: int, end: int) -> tuple[Mark, ...]:
    """The places that text[start:end] stands on, the first one at its beginning."""
    found: list[Mark] = []
    for number in range(bisect_right(starts, start) - 1, bisect_left(starts, end)):
        place = passages[number].place
        if place is not None:
            found.append(Mark(max(starts[number] - start, 0), place))
    return tuple(found)


def _cut_rows(passages: Sequence[Passage], cutter: _Cutter) -> Iterator[_Piece]:
    rows = [row for row in passages if row.text.strip()]
    sizes: list[int] = []
    first = 0
    while first < len(rows):
        _measure(rows, sizes, first, cutter)
        if sizes[first] - 1 > cutter.limits.maximum:
            yield from _cut_long_row(rows[first], cutter)
            first += 1
            continue
        last = _last_row(sizes, first, cutter.limits)
        while last > first + 1 and not cutter.fits(_lines(rows[first:last])):
            last -= 1
        yield _row_group(rows[first:last])
        first = last


def _measure(rows: Sequence[Passage], sizes: list[int], first: int, cutter: _Cutter) -> None:
    """Add to `sizes` those of the rows from `first` on, until no group that begins there could hold more."""
    total = sum(sizes[first:])
    while len(sizes) < len(rows) and total <= cutter.limits.maximum:
        # One more for the line break that joins it to the next.
        sizes.append(cutter.size(rows[len(sizes)].text) + 1)
        total += sizes[-1]


def _last_row(sizes: Sequence[int], first: int, limits: ChunkLimits) -> int:
    """Where the group of rows that begins at `first` ends: before the target is passed, or with all that is left."""
    total, end_at_target = 0, 0
    for number in range(first, len(sizes)):
        total += sizes[number]
        if total > limits.target and not end_at_target:
            end_at_target = max(number, first + 1)
        if total > limits.maximum:
            return end_at_target
    return len(sizes)


def _lines(passages: Sequence[Passage]) -> str:
    return "\n".join(passage.text for passage in passages)


def _starts(passages: Sequence[Passage]) -> list[int]:
    """Where each passage begins in their joined text."""
    return list(accumulate((len(passage.text) + 1 for passage in passages), initial=0))[:-1]


def _row_group(rows: Sequence[Passage]) -> _Piece:
    text = _lines(rows)
    return _Piece(text, _marks(rows, _starts(rows), 0, len(text)))


def _cut_long_row(row: Passage, cutter: _Cutter) -> Iterator[_Piece]:
    """Pieces of one row, each of which says the column in whose value it begins."""
    marks = () if row.place is None else (Mark(0, row.place),)
    columns = [(match.start(1), match.group(1)) for match in _COLUMN.finditer(row.text)]
    offsets = [offset for offset, _ in columns]

    def label(start: int) -> str:
        number = bisect_right(offsets, start) - 1
        return "" if number < 0 or offsets[number] == start else columns[number][1]

    for start, end in cutter.ranges(row.text, label):
        yield _Piece(label(start) + row.text[start:end], marks)


def _no_label(_start: int) -> str:
    return ""


def _skip_space(text: str, start: int) -> int:
    match = _NOT_SPACE.search(text, start)
    return match.start() if match else len(text)


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of a long text, tokenized at once: where it and each of its tokens ends."""

    end: int
    token_ends: Sequence[int]


class _Cutter:
    """Where a text is cut, by the tokenizer's count of each piece as it will stand alone."""

    def __init__(self, limits: ChunkLimits, tokenizer: Tokenizer) -> None:
        self.limits = limits
        self._tokenizer = tokenizer
        self._reach = limits.maximum * _CHARACTERS_PER_TOKEN

    def size(self, text: str) -> int:
        """Tokens of a text; of a very long one only that they are more than allowed."""
        if len(text) > self._reach:
            return self.limits.maximum + 1
        return len(self._tokenizer.spans(text))

    def fits(self, text: str) -> bool:
        return self.size(text) <= self.limits.maximum

    def ranges(self, text: str, label: Callable[[int], str] = _no_label) -> Iterator[tuple[int, int]]:
        """Character ranges that cover all but whitespace, each of which fits with its label before it."""
        start, block = _skip_space(text, 0), _Block(0, ())
        while start < len(text):
            if start + self._reach > block.end and block.end < len(text):
                block = self._block(text, start)
            end = self._end(text, start, block, label(start))
            yield start, start + len(text[start:end].rstrip())
            start = _skip_space(text, end)

    def _block(self, text: str, start: int) -> _Block:
        end = min(start + _BLOCK_CHARACTERS + self._reach, len(text))
        spans = self._tokenizer.spans(text[start:end])
        return _Block(end, list(accumulate((start + stop for _, stop in spans), max)))

    def _end(self, text: str, start: int, block: _Block, label: str) -> int:
        """The end of the piece that begins at `start`: all that is left if it fits, else a cut near the target."""
        ends, maximum = block.token_ends, self.limits.maximum
        first = bisect_right(ends, start)
        if block.end == len(text) and len(ends) - first <= maximum and self.fits(label + text[start:].rstrip()):
            return len(text)
        target, reach = self.limits.target, self._reach - len(label)
        while target and reach:
            wanted = ends[first : first + min(target * 4 // 3, maximum)]
            end = _best_end(text, wanted, target, min(start + reach, len(text)))
            if self.fits(label + text[start:end].rstrip()):
                return end
            # A piece can have more tokens alone than it had among its neighbours.
            target, reach = target * 3 // 4, reach * 3 // 4
        return start + 1


def _best_end(text: str, token_ends: Sequence[int], target: int, limit: int) -> int:
    """The best boundary near the target in the reach of these tokens, else the end of the target's own token."""
    if not token_ends:
        return limit
    aim, low, high = (
        min(token_ends[min(count, len(token_ends)) - 1], limit)
        for count in (target, max(target * 2 // 3, 1), len(token_ends))
    )
    for boundary in _BOUNDARIES:
        found = [match.end() for match in boundary.finditer(text, low, high)]
        if found:
            return min(found, key=lambda end: abs(end - aim))
    return aim
