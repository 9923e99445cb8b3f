"""Quantities compare as numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_operator import quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E", "1e18"),
        ("2k", "2000"),
        (".5", "0.5"),
    ],
)
def test_a_quantity_is_a_number(text: str, value: str) -> None:
    assert quantities.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1gi", "--1", "1e"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        quantities.parse(text)


@given(st.integers(0, 10**9), st.sampled_from(sorted(quantities.SUFFIXES)))
def test_a_suffix_multiplies(number: int, suffix: str) -> None:
    assert quantities.parse(f"{number}{suffix}") == number * quantities.SUFFIXES[suffix]
