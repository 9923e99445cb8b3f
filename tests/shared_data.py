"""Files that nobody on this project wrote, found by RAGOPS_TEST_DATA; tests that need them skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared(path: str) -> Path:
    folder = os.environ.get("RAGOPS_TEST_DATA")
    if not folder or not (Path(folder) / path).exists():
        pytest.skip(f"RAGOPS_TEST_DATA names no folder with {path}")
    return Path(folder) / path
