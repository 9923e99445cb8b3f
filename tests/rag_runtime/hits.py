"""Hits for tests: chunks of rows, pages or plain text."""

from __future__ import annotations

from itertools import accumulate

from rag_runtime.domain import Chunk, DocumentId, Hit, Mark, PlaceKind


def rows(*lines: str, first: int = 1, score: float = 0.03) -> Hit:
    """A chunk of table rows, the first of which is row `first`."""
    starts = accumulate((len(line) + 1 for line in lines[:-1]), initial=0)
    marks = tuple(Mark(start, first + number) for number, start in enumerate(starts))
    return _hit("\n".join(lines), "fleet.csv", PlaceKind.ROW, marks, score)


def pages(*texts: str, first: int = 1, score: float = 0.03) -> Hit:
    """A chunk that flows on across pages."""
    starts = accumulate((len(text) + 1 for text in texts[:-1]), initial=0)
    marks = tuple(Mark(start, first + number) for number, start in enumerate(starts))
    return _hit("\n".join(texts), "handbook.pdf", PlaceKind.PAGE, marks, score)


def plain(text: str, score: float = 0.03) -> Hit:
    return _hit(text, "notes.txt", None, (), score)


def _hit(text: str, source: str, kind: PlaceKind | None, marks: tuple[Mark, ...], score: float) -> Hit:
    return Hit(Chunk(f"id of {text[:20]}", DocumentId(f"doc {source}"), source, 0, text, "v1", kind, marks), score)
