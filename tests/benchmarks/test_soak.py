from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_mixed_requests_fail_nowhere_and_are_told_by_kind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--seconds", "20", "--output", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert run.returncode == 0, (figures["failures"], run.stderr)
    assert set(figures["times_ms"]) == {"query", "retrieve", "ingest", "delete", "health", "metrics"}
    assert set(figures["end_mb"]) == {"service", "store"}
    assert "| all | 1000 |" in run.stdout
