"""Metadata as what any store can index, and filters as questions about that. Pure.

Whatever keys documents bring, one list of words holds all their values, so one index serves them all; numbers and
dates, which are compared too, stand beside it under a name made of their key. `true` is not 1, and 1 is 1.0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from rag_runtime.domain import AllOf, AnyOf, Exists, Filter, Metadata, NoneOf, OneOf, Scalar, Within

METADATA = "metadata."
FACTS, RANGES = "facts", "ranges"
# A longer fact is known by its digest: an index need not hold texts.
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Match:
    """The field holds one of the words."""

    field: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number in the field lies between these."""

    field: str
    gt: float | None
    gte: float | None
    lt: float | None
    lte: float | None


class Group(NamedTuple):
    """All of `must`, none of `must_not` and, where there are any, one of `should`."""

    must: tuple[Question, ...] = ()
    should: tuple[Question, ...] = ()
    must_not: tuple[Question, ...] = ()


Question = Match | Bounds | Group


def facts(metadata: Metadata) -> list[str]:
    """A word for each value, and one for each key that has any."""
    found = {_fact(key, value): None for key, value in _values(metadata)}
    return [*found, *(_fact(key) for key in metadata)]


def ranges(metadata: Metadata) -> dict[str, list[float]]:
    """The numbers and dates, each under the name that `range_field` gives its key."""
    found: dict[str, list[float]] = {}
    for key, value in _values(metadata):
        comparable = moment(value) if isinstance(value, str) else value
        if comparable is not None and not isinstance(comparable, bool):
            found.setdefault(_range_name(key, comparable), []).append(_number(comparable))
    return found


def range_field(name: str) -> str:
    return f"{RANGES}.{name}"


def question(filter_: Filter) -> Question:
    """A filter in terms of what is stored."""
    match filter_:
        case OneOf(field, values):
            return _match(field, values)
        case Within(field):
            bounds = [None if bound is None else _number(bound) for bound in filter_.bounds]
            kind = next(bound for bound in filter_.bounds if bound is not None)
            return Bounds(range_field(_range_name(_key(field), kind)), *bounds)
        case Exists(field):
            return Match(FACTS, (_fact(_key(field)),))
        case AllOf(filters):
            return Group(must=tuple(question(each) for each in filters))
        case AnyOf(filters):
            return Group(should=tuple(question(each) for each in filters))
        case NoneOf(filters):
            return Group(must_not=tuple(question(each) for each in filters))


def moment(text: str) -> datetime | None:
    """The point in time that an ISO date names; without a zone it is UTC's, without a time the day's first."""
    if not text[:4].isdecimal() or not 10 <= len(text) <= 40 or text[4] != "-":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _match(field: str, values: Sequence[Scalar]) -> Match:
    if field.startswith(METADATA):
        return Match(FACTS, tuple(_fact(_key(field), value) for value in values))
    return Match(field, tuple(str(value) for value in values))


def _key(field: str) -> str:
    return field.removeprefix(METADATA)


def _values(metadata: Metadata) -> Iterator[tuple[str, Scalar]]:
    for key, value in metadata.items():
        for each in (value,) if isinstance(value, str | int | float) else value:
            yield key, each


def _fact(key: str, *value: Scalar) -> str:
    whole = [int(each) if isinstance(each, float) and each.is_integer() else each for each in value]
    word = json.dumps([key, *whole], separators=(",", ":"))
    return word if len(word) <= _LONGEST else hashlib.sha256(word.encode()).hexdigest()[:32]


def _range_name(key: str, kind: float | datetime) -> str:
    """Of letters and digits alone, as a key may hold what a path must not."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return ("d" if isinstance(kind, datetime) else "n") + digest


def _number(value: float | datetime) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)
