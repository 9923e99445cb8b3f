import pytest

from rag_runtime.fusion import reciprocal_rank


def test_an_item_in_both_lists_beats_the_first_of_one() -> None:
    fused = reciprocal_rank([["a", "both"], ["b", "both"]], k=60)
    assert [item for item, _ in fused] == ["both", "a", "b"]


def test_the_first_rank_counts_as_zero() -> None:
    """Qdrant's formula; the textbook's begins at one."""
    assert reciprocal_rank([["a", "b"]], k=60) == [("a", pytest.approx(1 / 60)), ("b", pytest.approx(1 / 61))]


def test_ties_stay_in_the_order_they_were_seen() -> None:
    assert [item for item, _ in reciprocal_rank([["x"], ["y"]])] == ["x", "y"]


def test_nothing_fuses_to_nothing() -> None:
    assert reciprocal_rank([[], []]) == []


def test_a_small_constant_favours_the_top() -> None:
    near = dict(reciprocal_rank([["a", "b"]], k=2))
    far = dict(reciprocal_rank([["a", "b"]], k=60))
    assert near["a"] / near["b"] > far["a"] / far["b"]
