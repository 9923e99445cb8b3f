from datetime import UTC, datetime

import pytest

from rag_runtime import facts
from rag_runtime.domain import Within


def test_each_value_and_each_key_is_a_fact() -> None:
    assert facts.facts({"tags": ("a", "b"), "year": 2024.0}) == [
        '["tags","a"]',
        '["tags","b"]',
        '["year",2024]',
        '["tags"]',
        '["year"]',
    ]


def test_a_long_fact_is_a_short_word() -> None:
    (one, _) = facts.facts({"text": "x" * 4000})
    (other, _) = facts.facts({"text": "x" * 3999 + "y"})
    assert len(one) == len(other) == 32
    assert one != other


def test_only_numbers_and_dates_are_compared() -> None:
    numbers = facts.ranges({"a": 1, "b": True, "c": "word", "d": "2024-01-01", "e": ("1", "2024-01-01")})
    assert sorted(numbers.values()) == [[1.0], [1704067200.0], [1704067200.0]]


def test_a_name_of_any_key_is_letters_and_digits() -> None:
    asked = facts.question(Within('metadata.a."[]\ud800', gt=1))
    assert isinstance(asked, facts.Bounds)
    assert asked.field.removeprefix("ranges.").isalnum()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-06-30", datetime(2024, 6, 30, tzinfo=UTC)),
        ("2024-06-30T12:00", datetime(2024, 6, 30, 12, tzinfo=UTC)),
        ("2024-06-30T14:00:00+02:00", datetime(2024, 6, 30, 12, tzinfo=UTC)),
        ("2024-06-30T12:00:00Z", datetime(2024, 6, 30, 12, tzinfo=UTC)),
        ("2024-13-01", None),
        ("20240630", None),
        ("2024", None),
        ("2024-06-30 and more", None),
        ("", None),
    ],
)
def test_a_date_is_one_only_in_full(text: str, moment: datetime | None) -> None:
    assert facts.moment(text) == moment
