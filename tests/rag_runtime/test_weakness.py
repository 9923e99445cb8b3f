"""Hits are weak when neither words nor meaning tie them to the question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag_runtime.domain import StageRank
from rag_runtime.weakness import is_weak
from tests.rag_runtime.hits import plain


@pytest.mark.parametrize(
    ("coverage", "cosine", "weak"),
    [(0.9, 0.1, False), (0.1, 0.6, False), (0.1, 0.1, True), (0.42, 0.0, False), (0.0, 0.35, False)],
)
def test_hits_are_weak_when_both_sides_say_so(coverage: float, cosine: float, weak: bool) -> None:
    far, near = (replace(plain("x"), explain={"dense": StageRank(1, score)}) for score in (-0.2, cosine))
    assert is_weak(coverage, [far, near], unrelated_below=0.35) is weak


@pytest.mark.parametrize(("coverage", "weak"), [(0.5, False), (0.3, True)])
def test_where_the_model_was_not_measured_words_decide(coverage: float, weak: bool) -> None:
    assert is_weak(coverage, [plain("x")], unrelated_below=None) is weak


def test_hits_that_only_words_found_are_near_nothing() -> None:
    assert is_weak(0.1, [plain("x")], unrelated_below=0.35)
