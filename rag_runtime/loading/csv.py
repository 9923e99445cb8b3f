"""CSV: each data row as a line of "column: value" pairs. Cells are text: nothing is computed and no type is guessed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from rag_runtime.domain import PlaceKind
from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.decoding import decode
from rag_runtime.loading.parsed import Gathering, Parsed

MAX_ROWS = 1_000_000
MAX_CELL_CHARACTERS = 1_048_576
MAX_NAME_CHARACTERS = 80

_DELIMITERS = ",;\t|"
_SNIFFED_CHARACTERS = 65_536
_SNIFFED_ROWS = 50
# A last line of our own: where it does not come back alone, a quote before it was never closed.
_END = "\x00"

# The reader's own limit is one for the whole process.
csv.field_size_limit(MAX_CELL_CHARACTERS)


def parse(data: bytes) -> Parsed:
    text, warnings = decode(data)
    text = text.replace(_END, " ")
    rows = _rows(text, _delimiter(text))
    names = _names(next(rows, []))
    found = Gathering()
    number = 0
    for number, row in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise DocumentUnreadable(f"it has more than {MAX_ROWS:,} rows: split it")
        found.add(_pairs(names, row), number)
    if not number:
        raise DocumentUnreadable("it has no rows below its header")
    return found.parsed(PlaceKind.ROW, warnings=warnings)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """The lines' cells, blank lines left out."""
    reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=delimiter)
    first_line = 1
    try:
        for row in reader:
            if row and row[-1].endswith(_END) and row != [_END]:
                raise DocumentUnreadable(f"a quote in the row at line {first_line} is never closed")
            if row and row != [_END]:
                yield row
            first_line = reader.line_num + 1
    except csv.Error as broken:
        raise DocumentUnreadable(
            f"the row at line {first_line} cannot be read ({broken}): is a quote in it never closed?"
        ) from broken


def _delimiter(text: str) -> str:
    """The sign that cuts the first rows into equally many cells, the most of them."""
    sample = text[:_SNIFFED_CHARACTERS]
    return max(_DELIMITERS, key=lambda delimiter: _evenness(sample, delimiter))


def _evenness(sample: str, delimiter: str) -> tuple[float, int]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        widths = [len(row) for row in islice(reader, _SNIFFED_ROWS) if row]
    except csv.Error:
        widths = []
    if not widths or widths[0] < 2:
        return 0.0, 0
    return Counter(widths)[widths[0]] / len(widths), widths[0]


def _names(header: Sequence[str]) -> list[str]:
    """What the columns are called, no two the same."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for number, cell in enumerate(header, start=1):
        name = clean(_one_line(cell))[:MAX_NAME_CHARACTERS].strip() or f"column {number}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _pairs(names: Sequence[str], row: Sequence[str]) -> str:
    cells = [_one_line(cell) for cell in row]
    beyond = (f"column {number}" for number in range(len(names) + 1, len(cells) + 1))
    return clean("; ".join(f"{name}: {cell}" for name, cell in zip(chain(names, beyond), cells, strict=False) if cell))


def _one_line(cell: str) -> str:
    return " ".join(cell.split())
