"""docs/conditions.md has every condition and reason that the operator can say, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from rag_operator import status
from rag_operator.state import Observed, Reason
from rag_operator.status import Facts
from tests import builders

PAGE = (Path(__file__).parents[2] / "docs/conditions.md").read_text()


def rows(section: str) -> dict[str, list[str]]:
    """The cells of a section's table, by the name in the first."""
    part = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    found = [re.split(r"\s*\|\s*", line.strip("| ")) for line in part.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in found}


def test_every_reason_is_there_in_the_order_of_the_list() -> None:
    assert list(rows("Reasons")) == [reason.value for reason in Reason]


def test_every_reason_says_what_it_means_why_it_is_and_what_to_do() -> None:
    """What is well has no cause."""
    for reason, (meaning, cause, remedy) in rows("Reasons").items():
        assert meaning, reason
        assert remedy, reason
        assert cause or reason == Reason.RECONCILED


def test_every_condition_is_there() -> None:
    facts = Facts(seen=Observed(), now=builders.NOW, paused=True)
    judged = status.evaluate(builders.app(), facts, {}, "1.2.3")
    assert list(rows("Conditions")) == [condition.type for condition in judged.conditions]
