"""docs/operating.md has every setting of the operator."""

from __future__ import annotations

import re
from pathlib import Path

from rag_operator.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text()


def test_every_setting_is_there_and_no_other() -> None:
    table = PAGE.partition("## Settings of the operator\n")[2]
    named = {name for line in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", line.partition(" | ")[0])}
    assert named == {name.upper() for name in Settings.model_fields}
