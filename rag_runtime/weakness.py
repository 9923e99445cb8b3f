"""Whether hits bear on a question at all: "not found in the documents" where they do not. Pure.

A hybrid search always finds something. Hits are weak when both of its sides say so: no sentence or row holds enough of
the question's words, and no hit is near the question in meaning. Either alone errs: of Cranfield's own questions, which
speak in other words than the abstracts do, the words alone would refuse one in five; of questions for a film's row in a
table, the meaning alone would refuse half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag_runtime.domain import Hit

# Below this share of the question's weight, a quote shares little but grammar with it.
MIN_COVERAGE = 0.42
# Cosines below which a dense model sees no relation between a question and a chunk. They differ from model to model, so
# they are here for those that were measured; with the others, words decide alone where nobody else can judge.
UNRELATED_BELOW: Mapping[str, float] = {"bundled": 0.35}


def is_weak(coverage: float, hits: Sequence[Hit], *, unrelated_below: float | None) -> bool:
    """`coverage` is that of the best quote; `unrelated_below` is None where the model was not measured."""
    if coverage >= MIN_COVERAGE:
        return False
    return unrelated_below is None or _nearest(hits) < unrelated_below


def _nearest(hits: Sequence[Hit]) -> float:
    """The best cosine among hits that were found by meaning; they must have been explained."""
    return max((hit.explain["dense"].score for hit in hits if "dense" in hit.explain), default=0.0)
