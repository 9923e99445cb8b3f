"""The operator's benchmark, small: that it measures, and what holds at any size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.operator.__main__ import measure, parse, write

pytestmark = [pytest.mark.api, pytest.mark.bench]


async def test_a_small_run_measures_everything_and_an_idle_operator_writes_nothing(tmp_path: Path) -> None:
    options, folder = parse(["--pipelines", "5", "--quick", "--output", str(tmp_path / "new")])
    table = write(await measure(options), folder)
    figures = json.loads((folder / "operator.json").read_text())
    assert (figures["idle"]["writes"], figures["idle"]["reads"]) == (0, 0)
    assert (figures["no_op"]["writes"], figures["no_op"]["gets_each"]) == (0, 1)
    assert figures["resync"]["writes"] == 0
    assert figures["floor"]["objects"] >= 35
    assert (folder / "operator.md").read_text() == table
