"""Answer by quoting the hits: no model, no network, always the same words for the same hits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from rag_runtime.domain import Hit, Piece, Turn
from rag_runtime.prompting import NOT_FOUND_ANSWER
from rag_runtime.quoting import Quote, ranked_quotes, to_citation
from rag_runtime.weakness import is_weak

# A further quote must cover at least this much of what the best one does.
FURTHER_SHARE = 0.7
WORDS_PER_QUOTE = 50


class ExtractiveGenerator:
    """The generator that is always there."""

    model = "extractive"

    def __init__(self, *, unrelated_below: float | None = None) -> None:
        self._unrelated_below = unrelated_below

    async def generate(
        self,
        question: str,
        hits: Sequence[Hit],
        *,
        max_words: int,
        earlier: Sequence[Turn] = (),  # noqa: ARG002 - a quote needs no conversation
    ) -> AsyncIterator[Piece]:
        ranked = ranked_quotes(question, hits)
        coverage = ranked[0].coverage if ranked else 0.0
        weak = is_weak(coverage, hits, unrelated_below=self._unrelated_below)
        quotes = [] if weak or not coverage else _chosen(ranked, max_words)
        if not quotes:
            yield NOT_FOUND_ANSWER
        for number, quote in enumerate(quotes, start=1):
            yield to_citation(quote)
            yield f"{'' if number == 1 else chr(10)}{_one_line(quote.text)} [{number}]"

    async def check(self) -> None:
        """Nothing outside this process is needed."""


def _chosen(quotes: Sequence[Quote], max_words: int) -> list[Quote]:
    floor = quotes[0].coverage * FURTHER_SHARE
    distinct = {_one_line(quote.text): quote for quote in reversed(quotes) if quote.coverage >= floor}
    return [*reversed(distinct.values())][: max(1, max_words // WORDS_PER_QUOTE)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
