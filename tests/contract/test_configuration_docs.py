"""docs/configuration.md has one row for each variable of the runtime, with its true default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rag_runtime.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs/configuration.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.*?) \|", re.MULTILINE)
DOCUMENTED = dict(ROW.findall(PAGE.read_text()))


def test_every_variable_has_a_row_and_every_row_a_variable() -> None:
    assert sorted(DOCUMENTED) == sorted(name.upper() for name in Settings.model_fields)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_default_is_the_true_one(name: str) -> None:
    default = Settings.model_fields[name].default
    written = DOCUMENTED[name.upper()].split(" ")[0].strip("`")
    if default in (None, (), ""):
        assert written in ("unset", "none", "empty")
    elif isinstance(default, bool):
        assert written == str(int(default))
    elif isinstance(default, int | float):
        assert float(written) == default
    else:
        assert written == str(default)
