"""A model's words become claims that cite, however they are cut into pieces on their way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.claims import Claims
from rag_runtime.domain import Citation
from tests.rag_runtime.hits import pages, rows

HITS = [pages("Dogs stay below.", first=4), rows("name: Northern Light; cars: 120", first=9)]


def read(*pieces: str) -> tuple[str, list[str]]:
    """The text that comes out, and the sources it cites."""
    out = _out(pieces)
    citations = [piece.source for piece in out if isinstance(piece, Citation)]
    return "".join(piece for piece in out if isinstance(piece, str)), citations


def _out(pieces: Sequence[str]) -> list[str | Citation]:
    claims = Claims(HITS)
    return [*(out for piece in pieces for out in claims.feed(piece)), *claims.finish()]


def test_marks_are_numbered_in_order_and_cite_the_span_that_supports_them() -> None:
    claims = Claims(HITS)
    out = [*claims.feed("It carries 120 cars [2]. Dogs stay below [1]. Cars again [2]."), *claims.finish()]
    assert "".join(o for o in out if isinstance(o, str)) == (
        "It carries 120 cars [1]. Dogs stay below [2]. Cars again [1]."
    )
    assert [(o.source, o.page, o.row) for o in out if isinstance(o, Citation)] == [
        ("fleet.csv", None, 9),
        ("handbook.pdf", 4, None),
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Both say so [1, 2].", "Both say so [1][2]."),
        ("They stay below. [1]\n", "They stay below. [1]"),
        ("They stay below [1] and it carries many [2], as is known.", "They stay below [1] and it carries many [2],"),
        ("- Below [1]\n- Many cars [2]", "- Below [1]\n- Many cars [2]"),
        ("Yes. They stay below [1].", "Yes. They stay below [1]."),
        ("The rules are:\n- They stay below [1]", "The rules are:\n- They stay below [1]"),
        ("Known of old, they stay below [1].", "Known of old, they stay below [1]."),
    ],
)
def test_marked_claims_are_said_as_they_are(written: str, said: str) -> None:
    assert read(written)[0] == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("All dogs stay below.", "All dogs stay below. [1]"),
        ("All dogs stay below [7].", "All dogs stay below. [1]"),
        ("Dogs must stay below. It carries 120 cars. [2]", "Dogs must stay below. It carries 120 cars. [1]"),
        (
            "Dogs stay below [1].\nNorthern Light has 120 cars.",
            "Dogs stay below [1].\nNorthern Light has 120 cars. [2]",
        ),
    ],
)
def test_a_claim_without_a_mark_gets_that_of_the_passage_that_says_so(written: str, said: str) -> None:
    assert read(written)[0] == said


@pytest.mark.parametrize(
    "written",
    ["Nothing cites what is said here.", "Nor that which is here [7].", "Nor all that is here [0].", "Yes.", ""],
)
def test_a_claim_that_no_passage_supports_is_left_out(written: str) -> None:
    assert read(written) == ("", [])
    assert read(f"Dogs stay below [1].\n{written}")[0].strip() == "Dogs stay below [1]."


def test_a_citation_comes_before_its_mark_and_a_claim_as_soon_as_the_next_one_begins() -> None:
    claims = Claims(HITS)
    assert list(claims.feed("Many cars [2")) == []
    assert list(claims.feed("].")) == []
    cited, said = claims.feed(" Dogs")
    assert isinstance(cited, Citation)
    assert said == "Many cars [1]."


ANSWER = (
    "In short: it carries 120 cars [2]. Dogs stay below. [1] Unknown words of no passage [9].\nAll dogs stay below.\n"
    "- Yes [1, 2]\n- Well"
)


@given(st.lists(st.integers(0, len(ANSWER)), max_size=30))
def test_where_the_pieces_are_cut_changes_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(ANSWER)]
    pieces = [ANSWER[begin:end] for begin, end in pairwise(edges)]
    assert read(*pieces) == read(ANSWER)


@given(st.lists(st.text(alphabet="ab [1]2,.\n:Z9", max_size=12), max_size=12))
def test_every_mark_that_comes_out_stands_for_a_citation_before_it(pieces: list[str]) -> None:
    known = 0
    for out in _out(pieces):
        if isinstance(out, Citation):
            known += 1
        else:
            assert all(f"[{number}]" not in out for number in range(known + 1, 10))
