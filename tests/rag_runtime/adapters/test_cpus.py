from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag_runtime.adapters.cpus import available

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", ALL), ("50000 100000", 1), ("100000 100000", 1), ("150000 100000", min(2, ALL)), ("odd", ALL)],
)
def test_a_container_s_limit_counts_rounded_up(tmp_path: Path, limit: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert available(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", ALL)])
def test_so_does_that_of_the_first_version_of_cgroups(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert available(tmp_path) == expected


def test_without_a_limit_all_processors_that_we_may_use_count(tmp_path: Path) -> None:
    assert available(tmp_path) == ALL
