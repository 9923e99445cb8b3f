"""docs/resource.md says what the models say."""

from __future__ import annotations

from pathlib import Path

from rag_operator import reference

PAGE = Path(__file__).resolve().parents[2] / "docs/resource.md"


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == reference.build_page(), "run `make crds`"


def test_every_field_is_described() -> None:
    rows = [line.split(" | ") for line in reference.build_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []
