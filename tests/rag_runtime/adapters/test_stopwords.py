from __future__ import annotations

import pytest
from fastembed.sparse.bm25 import supported_languages

from rag_runtime.adapters.stopwords import stop_words


@pytest.mark.parametrize("language", sorted(set(supported_languages) - {"tamil"}))
def test_each_language_that_fastembed_stems_has_its_words_in_lower_case(language: str) -> None:
    words = stop_words(language)
    assert len(words) > 50
    assert all(word and word == word.lower() for word in words)


def test_words_that_say_what_a_text_is_about_are_kept() -> None:
    assert {"the", "of", "is"} <= stop_words("english")
    assert not stop_words("english") & {"computer", "system", "research", "test", "state", "interest"}


def test_a_language_without_a_list_has_none() -> None:
    assert stop_words("tamil") == frozenset()
