from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.runtime import table
from benchmarks.runtime.turns import Entry

FIGURES = dict.fromkeys((*table.COLUMNS, *table.SERVICE), 2.0)


def test_ragops_and_the_floor_are_measured_by_turns(tmp_path: Path) -> None:
    """The frameworks have an environment of their own, which a test does not install."""
    command = [sys.executable, "-m", "benchmarks.runtime", "--quick", "--models", "bundled", "--output", str(tmp_path)]
    run = subprocess.run(
        [*command, "--contenders", "ragops", "floor"], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads((tmp_path / "runtime-bundled-24.json").read_text())["runs"][0]
    assert {"ragops", "floor"} < set(figures)
    assert set(figures["ragops"]) == {*table.COLUMNS, *table.SERVICE}
    assert all(value > 0 for value in figures["ragops"].values())
    assert "| ragops | embedded, over HTTP |" in run.stdout


def test_a_table_shows_the_median_the_spread_and_what_was_missed() -> None:
    entries = [Entry(name, "a store", []) for name in ("ragops", "floor")]
    runs = [{"ragops": {**FIGURES, "p50 ms": p50}, "floor": FIGURES} for p50 in (2.0, 3.0, 2.2)]
    shown = table.render(entries, runs, table.SAME_MODEL)
    assert "| ragops | a store | 2.00 (2.00-2.00) | 2.00 (2.00-2.00) | 2.20 (2.00-3.00) | 2.00 (2.00-2.00) |" in shown
    assert "p50 of one client, of the floor's: 1.10 (at most 1.3: kept)" in shown
    assert "p95 with 8 clients, of its p50: 2.00 (at most 2: kept)" in shown
    assert "ingest, of the floor's: 1.00 (at least 0.95: kept)" in shown
