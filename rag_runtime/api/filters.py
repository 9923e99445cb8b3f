"""Filters as they are sent: strict, bounded in number and depth, each field and value of a known kind."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    model_validator,
)

from rag_runtime import domain, facts

MAX_CLAUSES = 100
MAX_DEPTH = 8
MAX_VALUES = 100
# As much as metadata may hold.
MAX_CHARACTERS = 4096
BUILT_IN = ("document_id", "source", "format")


def _known(name: str) -> str:
    if name not in BUILT_IN and not (name.startswith(facts.METADATA) and name != facts.METADATA):
        raise ValueError(f"must be one of {', '.join(BUILT_IN)}, or metadata.KEY")
    return name


def _bound(value: int | float | str) -> float | datetime:
    if not isinstance(value, str):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("is an integer too large to compare") from None
    moment = facts.moment(value)
    if moment is None:
        raise ValueError("must be a number or an ISO date, such as 2024-06-30 or 2024-06-30T12:00:00Z")
    return moment


FieldName = Annotated[str, Field(min_length=1, max_length=110), AfterValidator(_known)]
Word = Annotated[str, Field(max_length=MAX_CHARACTERS)]
Value = bool | int | FiniteFloat | Word
Bound = Annotated[int | FiniteFloat | Word, AfterValidator(_bound)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=False)


class RangeFilter(Strict):
    """Numbers, or ISO dates; a date without a zone is UTC's."""

    gt: Bound | None = None
    gte: Bound | None = None
    lt: Bound | None = None
    lte: Bound | None = None

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        kinds = {isinstance(bound, datetime) for bound in self.bounds().values()}
        if len(kinds) != 1:
            raise ValueError("needs gt, gte, lt or lte, either numbers or dates")
        return self

    def bounds(self) -> dict[str, Any]:
        return {name: bound for name in RangeFilter.model_fields if (bound := getattr(self, name)) is not None}


class FieldFilter(Strict):
    """One test of one field: `document_id`, `source`, `format`, or `metadata.KEY`."""

    field: FieldName
    equals: Value | None = None
    any_of: Annotated[list[Value], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    range: RangeFilter | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = (self.equals, self.any_of, self.range, self.exists)
        if sum(test is not None for test in tests) != 1:
            raise ValueError("needs one of equals, any_of, range and exists")
        if self.field in BUILT_IN and not all(isinstance(value, str) for value in self._values() or (None,)):
            raise ValueError(f"{self.field} is a word: use equals or any_of with words")
        return self

    def to_domain(self) -> domain.Filter:
        if self.range is not None:
            return domain.Within(self.field, **self.range.bounds())
        if self.exists is not None:
            there = domain.Exists(self.field)
            return there if self.exists else domain.NoneOf((there,))
        return domain.OneOf(self.field, self._values())

    def _values(self) -> tuple[domain.Scalar, ...]:
        return (self.equals,) if self.equals is not None else tuple(self.any_of or ())


class AndFilter(Strict):
    all_: Annotated[list[FilterModel], Field(alias="and", min_length=1)]

    def to_domain(self) -> domain.Filter:
        return domain.AllOf(tuple(each.to_domain() for each in self.all_))


class OrFilter(Strict):
    any_: Annotated[list[FilterModel], Field(alias="or", min_length=1)]

    def to_domain(self) -> domain.Filter:
        return domain.AnyOf(tuple(each.to_domain() for each in self.any_))


class NotFilter(Strict):
    none: FilterModel = Field(alias="not")

    def to_domain(self) -> domain.Filter:
        return domain.NoneOf((self.none.to_domain(),))


def _operator(value: object) -> str:
    return next((name for name in ("and", "or", "not") if isinstance(value, dict) and name in value), "field")


FilterModel = Annotated[
    Annotated[AndFilter, Tag("and")]
    | Annotated[OrFilter, Tag("or")]
    | Annotated[NotFilter, Tag("not")]
    | Annotated[FieldFilter, Tag("field")],
    Discriminator(_operator),
]


def _bounded(value: object) -> object:
    """Counted level by level, so that a tower of them costs nothing."""
    level, clauses, depth = [value], 0, 0
    while level:
        objects = [each for each in level if isinstance(each, dict)]
        lists = [each for each in level if isinstance(each, list)]
        clauses += len(objects)
        depth += bool(objects)
        if depth > MAX_DEPTH or clauses > MAX_CLAUSES:
            raise ValueError(f"must have at most {MAX_CLAUSES} clauses, nested at most {MAX_DEPTH} deep")
        level = [inner for each in objects for inner in each.values()] + [inner for each in lists for inner in each]
    return value


AskedFilter = Annotated[FilterModel, BeforeValidator(_bounded)]


def to_domain(asked: AndFilter | OrFilter | NotFilter | FieldFilter | None) -> domain.Filter | None:
    return None if asked is None else asked.to_domain()
