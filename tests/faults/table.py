"""A table for each kind of fault, with a line for each run: on standard output, and in build/faults/NAME.md.

    TABLE = Table("runtime-kills", ("run", "killed after", "found"))

    @repeated
    def test_a_kill(run: int) -> None:
        ...
        TABLE.add(run, "1.2 s", 5000)

`make faults RUNS=20` repeats; without RUNS each test runs once, shortened where it asks `is_short`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "build/faults"
RUNS = int(os.environ.get("RUNS") or 1)
is_short = "RUNS" not in os.environ

repeated = pytest.mark.parametrize("run", range(1, RUNS + 1))


@dataclass
class Table:
    """Written anew with each line, so that what was seen is kept when a later run fails."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        assert len(cells) == len(self.columns)
        self.rows.append(tuple(map(str, cells)))
        if len(self.rows) == 1:
            print(f"\n{self.name}\n{_line(self.columns)}\n{_line(['---'] * len(self.columns))}")
        print(_line(self.rows[-1]))
        FOLDER.mkdir(parents=True, exist_ok=True)
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        (FOLDER / f"{self.name}.md").write_text("\n".join(map(_line, lines)) + "\n")


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
