"""The words that BM25 leaves out, by language, from packages, because fastembed would download its own.

bm25s keeps content words that the longer lists drop ("system", "research", "test"); stop-words has languages it lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import bm25s.stopwords as lists
from stop_words import get_stop_words

_CURATED: Mapping[str, Collection[str]] = MappingProxyType(
    {
        "danish": lists.STOPWORDS_DANISH,
        "dutch": lists.STOPWORDS_DUTCH,
        "english": lists.STOPWORDS_EN_PLUS,
        "french": lists.STOPWORDS_FRENCH,
        "german": lists.STOPWORDS_GERMAN,
        "italian": lists.STOPWORDS_ITALIAN,
        "norwegian": lists.STOPWORDS_NORWEGIAN,
        "portuguese": lists.STOPWORDS_PORTUGUESE,
        "russian": lists.STOPWORDS_RUSSIAN,
        "spanish": lists.STOPWORDS_SPANISH,
        "swedish": lists.STOPWORDS_SWEDISH,
        "turkish": lists.STOPWORDS_TURKISH,
    }
)
_OTHERS = frozenset({"arabic", "finnish", "greek", "hungarian", "romanian"})


def stop_words(language: str) -> frozenset[str]:
    """None for a language without a list (Tamil, of those that fastembed stems): BM25 does without them."""
    if language in _CURATED:
        return frozenset(_CURATED[language])
    return frozenset(get_stop_words(language)) if language in _OTHERS else frozenset()
