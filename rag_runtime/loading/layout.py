"""Text with a structure, as lines: what a reader of HTML or DOCX tells it of blocks, lists and tables.

Whatever is opened must be closed; a row outside a table, or a cell outside a row, is a line like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import parsed
from rag_runtime.loading.tables import Cell, Table

# Each one inside another has its text gathered once more.
MAX_TABLES_DEEP = 4
MAX_INDENTED = 8


class _Flow:
    """The lines of a document, or of a cell."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open_line: list[str] = []
        self.verbatim = 0
        self.mark = ""
        self.follows_heading = False
        self._wants_blank = False

    def end_line(self) -> None:
        text = "".join(self.open_line)
        self.open_line.clear()
        text = text.strip("\n") if self.verbatim else " ".join(text.split())
        if text and not text.isspace():
            self.add([self.mark + text])
            self.mark = ""

    def end_block(self) -> None:
        self.end_line()
        # A heading stays with what it stands over, and a list's mark with its item.
        if not self.follows_heading and not self.mark:
            self._wants_blank = True

    def add(self, lines: list[str]) -> None:
        if self._wants_blank and self.lines:
            self.lines.append("")
        self._wants_blank = self.follows_heading = False
        self.lines += lines

    def text(self) -> str:
        self.end_line()
        return "\n".join(self.lines)


@dataclass(slots=True)
class _Row:
    table: Table
    cells: list[Cell] = field(default_factory=list)


class Layout:
    def __init__(self) -> None:
        self._flows = [_Flow()]
        self._open: list[Table | _Row | _Flow | None] = []
        self._tables = 0
        self._written = self._tabled = 0

    def write(self, text: str) -> None:
        self._written += len(text)
        _refuse_long(self._written)
        self._flows[-1].open_line.append(text)

    def end_line(self) -> None:
        self._flows[-1].end_line()

    def end_block(self) -> None:
        self._flows[-1].end_block()

    def break_line(self) -> None:
        """End a line inside a block."""
        if self._flows[-1].verbatim:
            self.write("\n")
        else:
            self.end_line()

    def end_heading(self) -> None:
        self.end_line()
        self._flows[-1].follows_heading = True

    def open_item(self, mark: str, depth: int = 1) -> None:
        self.end_line()
        self._flows[-1].mark = "  " * (min(depth, MAX_INDENTED) - 1) + mark

    def close_item(self) -> None:
        self.end_line()
        self._flows[-1].mark = ""

    def open_verbatim(self) -> None:
        self.end_block()
        self._flows[-1].verbatim += 1

    def close_verbatim(self) -> None:
        self.end_block()
        self._flows[-1].verbatim -= 1

    def open_table(self) -> None:
        self.end_block()
        self._open.append(Table() if self._tables < MAX_TABLES_DEEP else None)
        self._tables += 1

    def close_table(self) -> None:
        table = self._open.pop()
        self._tables -= 1
        if isinstance(table, Table):
            self._add(table.rest())
        self.end_block()

    def open_row(self) -> None:
        self.end_line()
        table = self._open[-1] if self._open else None
        self._open.append(_Row(table) if isinstance(table, Table) else None)

    def close_row(self, *, is_header: bool = False, is_likely_header: bool = False) -> None:
        row = self._open.pop()
        self.end_line()
        if isinstance(row, _Row):
            self._add(row.table.add(row.cells, is_header=is_header, is_likely_header=is_likely_header))

    def open_cell(self) -> None:
        self.end_line()
        flow = _Flow() if self._open and isinstance(self._open[-1], _Row) else None
        self._open.append(flow)
        if flow:
            self._flows.append(flow)

    def close_cell(self, cell: Cell | None = None) -> None:
        """With what is known of the cell beside its text."""
        flow = self._open.pop()
        if not isinstance(flow, _Flow):
            return self.end_line()
        self._flows.pop()
        row, known = self._open[-1], cell or Cell()
        assert isinstance(row, _Row)  # noqa: S101 - a flow is opened in a row only
        row.cells.append(Cell(flow.text(), known.is_name, known.columns, known.rows, known.continues))
        return None

    def text(self) -> str:
        return self._flows[0].text()

    def _add(self, lines: list[str]) -> None:
        self._tabled += sum(map(len, lines))
        _refuse_long(self._tabled)
        if lines:
            self._flows[-1].add(lines)


def _refuse_long(characters: int) -> None:
    if characters > parsed.MAX_TEXT_CHARACTERS:
        raise DocumentUnreadable(f"it holds more than {parsed.MAX_TEXT_CHARACTERS:,} characters of text: split it")
