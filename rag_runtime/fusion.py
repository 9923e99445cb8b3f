"""Reciprocal rank fusion of ranked lists. Pure; the engines fuse by themselves, and are held to this by their tests."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def reciprocal_rank(rankings: Iterable[Sequence[Item]], *, k: int = 60) -> list[tuple[Item, float]]:
    """Items by falling sum of 1 / (k + rank), rank counted from 0 as Qdrant does; ties stay in order of first sight."""
    scores: dict[Item, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda scored: -scored[1])
