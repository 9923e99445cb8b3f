"""Answer by quoting the hits: no model, no network, always the same words for the same hits."""

from __future__ import annotations

from collections.abc import Sequence

from rag_runtime.domain import Generated, Hit
from rag_runtime.prompting import NOT_FOUND_ANSWER
from rag_runtime.quoting import Quote, ranked_quotes, to_citation

# Below this share of the question's weight, a quote shares little but grammar with it.
MIN_COVERAGE = 0.42
# A further quote must cover at least this much of what the best one does.
FURTHER_SHARE = 0.7
WORDS_PER_QUOTE = 50


class ExtractiveGenerator:
    """The generator that is always there."""

    model = "extractive"

    async def generate(self, question: str, hits: Sequence[Hit], *, max_words: int) -> Generated:
        quotes = _chosen(ranked_quotes(question, hits), max_words)
        if not quotes:
            return Generated(NOT_FOUND_ANSWER, ())
        text = "\n".join(f"{_one_line(quote.text)} [{number}]" for number, quote in enumerate(quotes, start=1))
        return Generated(text, tuple(to_citation(quote) for quote in quotes))

    async def check(self) -> None:
        """Nothing outside this process is needed."""


def _chosen(quotes: Sequence[Quote], max_words: int) -> list[Quote]:
    if not quotes or quotes[0].coverage < MIN_COVERAGE:
        return []
    floor = quotes[0].coverage * FURTHER_SHARE
    distinct = {_one_line(quote.text): quote for quote in reversed(quotes) if quote.coverage >= floor}
    return [*reversed(distinct.values())][: max(1, max_words // WORDS_PER_QUOTE)]


def _one_line(text: str) -> str:
    return " ".join(text.split())
