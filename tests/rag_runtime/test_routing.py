"""The way to answer is chosen by what was asked for, then by the question's own words."""

from __future__ import annotations

import pytest

from rag_runtime.routing import Router, Style

ROUTER = Router(local_routing=True, summary_top_k=20, detailed_max_words=150)


@pytest.mark.parametrize(
    ("question", "route"),
    [
        ("Who directed 12 Years a Slave?", "lookup"),
        ("Explain the difference between a page and a row.", "detailed"),
        ("Warum ist die Abbildung stetig?", "detailed"),
        ("Give me a summary of the handbook", "summary"),
        ("Fasse zusammen: was zusammengefasst gehört", "summary"),
    ],
)
def test_the_words_of_a_question_choose(question: str, route: str) -> None:
    assert ROUTER.choose(question, top_k=5).name == route


@pytest.mark.parametrize(("style", "route"), [("concise", "lookup"), ("detailed", "detailed"), ("summary", "summary")])
def test_a_style_that_was_asked_for_wins(style: Style, route: str) -> None:
    assert ROUTER.choose("Explain a summary", top_k=5, style=style).name == route


def test_without_local_routing_every_question_is_looked_up() -> None:
    router = Router(local_routing=False, summary_top_k=20, detailed_max_words=150)
    assert router.choose("Give me a summary", top_k=5).name == "lookup"


def test_a_summary_reads_more_hits_and_a_detailed_answer_is_longer() -> None:
    assert ROUTER.choose("overview", top_k=5).top_k == 20
    assert ROUTER.choose("overview", top_k=50).top_k == 50
    assert ROUTER.choose("explain", top_k=5).max_words == 150
