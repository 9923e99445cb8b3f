from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.loading.cleaning import clean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\x0cd", "a\nb\nc\nd"),
        ("Donau\u00addampf\ufeff", "Donaudampf"),
        ("e\ufb03cient \ufb02ow", "efficient flow"),
        ("Gro\u0308\u00dfe", "Größe"),
        ("x\x00\x08y\uf8f1z", "x  y z"),
        ("end  \nof line\t", "end\nof line"),
        ("\ud800 alone", "  alone"),
        ("H₂O ½ ﷽", "H₂O ½ ﷽"),
    ],
    ids=["line ends", "soft hyphen", "ligatures", "accents", "controls", "trailing space", "surrogate", "kept as is"],
)
def test_what_looks_the_same_is_written_the_same(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_can_be_stored_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    once.encode()
    assert clean(once) == once
