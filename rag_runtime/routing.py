"""Choose the way to answer by local rules. Pure: no model call, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Style = Literal["concise", "detailed", "summary"]
RouteName = Literal["lookup", "detailed", "summary"]

LOOKUP_MAX_WORDS = 60
SUMMARY_MAX_WORDS = 250
# English and German stems; whoever asks in another language can say `style`.
SUMMARY = re.compile(r"\b(summar\w*|overview|outline|zusammenfass\w*|zusammengefasst|überblick)\b", re.IGNORECASE)
DETAILED = re.compile(
    r"\b(explain|describe|why|how (?:do|does|did|is|are|can|to)|in detail|erkläre?|beschreibe?|warum|wieso|wie)\b",
    re.IGNORECASE,
)
BY_STYLE: dict[Style, RouteName] = {"concise": "lookup", "detailed": "detailed", "summary": "summary"}


@dataclass(frozen=True, slots=True)
class Route:
    """How one question is answered: from how many hits, and in how many words."""

    name: RouteName
    top_k: int
    max_words: int

    def within(self, max_words: int | None) -> Route:
        """The same, in no more words than that."""
        return self if max_words is None else replace(self, max_words=min(self.max_words, max_words))


@dataclass(frozen=True, slots=True)
class Router:
    """The limits of each way, and whether the question's own words may choose it."""

    local_routing: bool
    summary_top_k: int
    detailed_max_words: int

    def choose(self, question: str, *, top_k: int, style: Style | None = None) -> Route:
        name = BY_STYLE[style] if style else self._by_words(question)
        match name:
            case "summary":
                return Route(name, max(top_k, self.summary_top_k), SUMMARY_MAX_WORDS)
            case "detailed":
                return Route(name, top_k, self.detailed_max_words)
            case "lookup":
                return Route(name, top_k, LOOKUP_MAX_WORDS)

    def _by_words(self, question: str) -> RouteName:
        if not self.local_routing:
            return "lookup"
        if SUMMARY.search(question):
            return "summary"
        return "detailed" if DETAILED.search(question) else "lookup"
