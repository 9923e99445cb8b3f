"""Golden questions and what becomes of them, without a service."""

from __future__ import annotations

from typing import Any

import pytest

from rag_runtime import evaluation
from rag_runtime.errors import RequestError
from rag_runtime.evaluation import Expected, Outcome

HIT = {
    "document_id": "d1",
    "source": "manuals/handbook.pdf",
    "page": 2,
    "page_last": 3,
    "row": None,
    "row_last": None,
    "text": "Boarding closes\ntwenty minutes before.",
}


@pytest.mark.parametrize(
    ("expected", "met"),
    [
        ({"document": "handbook.pdf"}, True),
        ({"document": "manuals/handbook.pdf"}, True),
        ({"document": "book.pdf"}, False),
        ({"document": "d1"}, True),
        ({"document": "other.pdf"}, False),
        ({"document": "d1", "page": 3}, True),
        ({"document": "d1", "page": 4}, False),
        ({"document": "d1", "row": 2}, False),
        ({"text": "closes TWENTY minutes"}, True),
        ({"text": "thirty"}, False),
        ({"document": "other.pdf", "text": "twenty"}, False),
    ],
)
def test_a_passage_is_met_by_all_that_is_said_of_it(expected: dict[str, Any], met: bool) -> None:
    assert Expected(**expected).is_met_by(HIT) is met


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no questions"),
        ([], "no questions"),
        ({"question": "x"}, "no questions"),
        ([{"question": "x"}], "question 1 of q.yaml is malformed: expect"),
        ([{"question": "", "expect": {"text": "y"}}], "question"),
        ([{"question": "x", "expect": {}}], "needs a document or a text"),
        ([{"question": "x", "expect": {"document": "d", "page": "2"}}], "expect.0.page"),
        ([{"question": "x", "expect": {"documents": "d"}}], "documents"),
        (["x"], "question 1"),
    ],
)
def test_a_malformed_file_is_named_with_its_place(content: object, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        evaluation.read(content, name="q.yaml")


def test_ranks_count_from_one_and_each_passage_has_its_own() -> None:
    (golden,) = evaluation.read(
        {"questions": [{"question": "x", "expect": [{"document": "b"}, {"document": "c"}]}]}, name="q.yaml"
    )
    hits = [{**HIT, "source": source, "document_id": source} for source in "ab"]
    outcome = evaluation.judge(golden, hits, milliseconds=1.0)
    assert (outcome.ranks, outcome.recall, outcome.reciprocal_rank) == ((2, None), 0.5, 0.5)


def test_figures_are_means_and_percentiles_by_the_nearest_rank() -> None:
    ranks = [(1,), (2,), (None,), (4,)]
    outcomes = [Outcome("q", each, float(number)) for number, each in enumerate(ranks, start=1)]
    found = evaluation.figures(outcomes, top_k=10)
    assert (found.questions, found.recall, found.mrr) == (4, 0.75, (1 + 0.5 + 0 + 0.25) / 4)
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (2.0, 4.0, 4.0)
