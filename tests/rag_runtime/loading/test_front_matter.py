from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.loading import front_matter


def test_simple_values_are_kept_and_others_left_out() -> None:
    text = "a: word\nb: 3\nc: 1.5\nd: yes\ne: 2024-05-01\nf: [x, y]\ng: {h: 1}\ni:\n- [1]\nj: null\nk: .inf\n1: x\n"
    assert front_matter.read(text) == {"a": "word", "b": 3, "c": 1.5, "d": True, "e": "2024-05-01", "f": ["x", "y"]}


@pytest.mark.parametrize(
    "text",
    ["", "word", "- a\n- b", "a: [", "a: 2024-13-45", "a: " + "[" * 8_000, "- " * 4_000, "a: b\n" * 10_000],
    ids=["nothing", "a word", "a list", "broken", "no date", "deep", "deep lines", "long"],
)
def test_what_holds_no_names_and_values_is_none(text: str) -> None:
    assert front_matter.read(text) is None


@pytest.mark.parametrize(
    "text",
    ["a: &x [1]\nb: [*x, *x]", "a: !!python/object/apply:os.system [id]", "a: !!binary aGk="],
    ids=["alias", "object", "binary"],
)
def test_what_makes_more_of_it_than_values_gives_none_of_them(text: str) -> None:
    assert front_matter.read(text) == {}


def test_values_are_bounded() -> None:
    many = front_matter.read("".join(f"k{number}: 1\n" for number in range(200)))
    assert many is not None
    assert len(many) == front_matter.MAX_VALUES
    assert front_matter.read(f"a: {'x' * 5_000}\nb: {2**70}\n{'n' * 101}: 1") == {}


@given(st.text(alphabet="ab:-[]{}&*!|>'\"\n 1.#?,", max_size=200))
def test_any_text_is_read(text: str) -> None:
    values = front_matter.read(text)
    assert values is None or all(isinstance(name, str) for name in values)
