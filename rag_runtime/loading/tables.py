"""Tables as lines: one for each row, each cell after the name of its column where the table has names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_NAME_CHARACTERS = 80
MAX_NAMED_COLUMNS = 1_000
MAX_HEADER_ROWS = 3
# A cell that reaches over several rows stands in the line of each, unless it is long or one of many.
MAX_REPEATED_CHARACTERS = 200
MAX_REACHING_CELLS = 50


@dataclass(frozen=True, slots=True)
class Cell:
    """`rows` and `columns` count what it reaches over; a cell that `continues` is part of the one above it."""

    text: str = ""
    is_name: bool = False
    columns: int = 1
    rows: int = 1
    continues: bool = False

    @property
    def line(self) -> str:
        return " ".join(self.text.split())


class Table:
    """Rows in, lines out, as each row comes; `rest` gives what is left when no more rows come."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._header: list[str] = []
        self._reaching: dict[int, Cell] = {}
        self._above: dict[int, Cell] = {}
        self._is_first = True

    def add(self, cells: Sequence[Cell], *, is_header: bool = False, is_likely_header: bool = False) -> list[str]:
        """`is_likely_header`: its format may mean a header, which only a first row of several names can be."""
        if not cells:
            return []
        is_header = is_header or all(cell.is_name for cell in cells)
        is_header = is_header or (is_likely_header and self._is_first and _are_names(cells))
        self._is_first = False
        placed = self._placed(cells)
        self._above = dict(placed[:MAX_NAMED_COLUMNS])
        if is_header and _can_be_header(cells) and len(self._header) < MAX_HEADER_ROWS:
            self._name(placed)
            return []
        self._header = []
        return self._lines([(column, cell) for column, cell in placed if cell.line])

    def rest(self) -> list[str]:
        """A header that no row followed."""
        return self._header

    def _placed(self, cells: Sequence[Cell]) -> list[tuple[int, Cell]]:
        """The row's cells with their columns, and among them those that reach down from rows above."""
        reaching, self._reaching = self._reaching, {}
        placed: list[tuple[int, Cell]] = []
        column = 0
        for cell in cells:
            while column in reaching:
                column = self._put(placed, column, reaching.pop(column))
            column = self._put(placed, column, self._above.get(column, cell) if cell.continues else cell)
        for late, cell in reaching.items():
            self._put(placed, late, cell)
        return placed

    def _put(self, placed: list[tuple[int, Cell]], column: int, cell: Cell) -> int:
        placed.append((column, cell))
        if cell.rows > 1 and len(self._reaching) < MAX_REACHING_CELLS:
            text = cell.text if len(cell.text) <= MAX_REPEATED_CHARACTERS else ""
            self._reaching[column] = replace(cell, text=text, rows=cell.rows - 1)
        return column + max(cell.columns, 1)

    def _name(self, placed: Iterable[tuple[int, Cell]]) -> None:
        """Take a header row's names; a second row of them goes on with the first."""
        if not self._header:
            self._names = {}
        for start, cell in placed:
            name = cell.line.rstrip(":")
            for column in range(start, min(start + cell.columns, MAX_NAMED_COLUMNS)):
                upper = self._names.get(column, "")
                both = upper if upper == name else f"{upper} {name}".strip()
                self._names[column] = both[:MAX_NAME_CHARACTERS]
        self._header.append("; ".join(cell.line for _, cell in placed if cell.line))

    def _lines(self, placed: Sequence[tuple[int, Cell]]) -> list[str]:
        if self._names:
            return [_joined((self._names.get(column, ""), cell.line) for column, cell in placed)]
        if len(placed) == 2 and placed[0][1].is_name:
            return [_joined([(placed[0][1].line.rstrip(":"), placed[1][1].line)])]
        if any("\n" in cell.text for _, cell in placed):
            # Such a table arranges a page.
            return [line for _, cell in placed for line in cell.text.split("\n") if line]
        return [_joined(("", cell.line) for _, cell in placed)]


def _can_be_header(cells: Sequence[Cell]) -> bool:
    return len(cells) > 1 and all(len(cell.line) <= MAX_NAME_CHARACTERS for cell in cells)


def _are_names(cells: Sequence[Cell]) -> bool:
    """Of two columns the left one often holds names, and the first row is a row as any other."""
    return len(cells) > 2 and all(cell.line for cell in cells) and len({cell.line for cell in cells}) == len(cells)


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {text}" if name else text for name, text in pairs)
