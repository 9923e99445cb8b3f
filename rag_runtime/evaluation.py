"""Golden questions: what a search should find, how far it did, and the figures of it. Pure: no client, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rag_runtime.errors import RequestError

Words = Annotated[str, Field(min_length=1)]


class Expected(BaseModel):
    """A passage, by all that is said of it: its document (source or id), a page or row of it, a part of its text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    document: Words | None = None
    page: Annotated[int, Field(ge=1)] | None = None
    row: Annotated[int, Field(ge=1)] | None = None
    text: Words | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.document is None and self.text is None:
            raise ValueError("needs a document or a text")
        return self

    def is_met_by(self, hit: Mapping[str, Any]) -> bool:
        """`hit` is one of `POST /v1/retrieve`. Text is compared without regard to case and line breaks.

        A document may be named by the last parts of its source: which folder it was sent from says nothing of it.
        """
        return (
            _names(self.document, hit)
            and _covers(hit, "page", self.page)
            and _covers(hit, "row", self.row)
            and (self.text is None or _plain(self.text) in _plain(hit["text"]))
        )


class Golden(BaseModel):
    """A question, and the passages that answer it; each of them should be found."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: Words
    expect: Annotated[list[Expected], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("expect"), Mapping):
            return {**value, "expect": [value["expect"]]}
        return value


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ranks` are those of the expected passages, from 1; None where one was not among the hits."""

    question: str
    ranks: tuple[int | None, ...]
    milliseconds: float

    @property
    def recall(self) -> float:
        return sum(rank is not None for rank in self.ranks) / len(self.ranks)

    @property
    def reciprocal_rank(self) -> float:
        return max((1 / rank for rank in self.ranks if rank), default=0.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the questions; latencies by the nearest rank."""

    questions: int
    top_k: int
    recall: float
    mrr: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def read(content: object, *, name: str) -> list[Golden]:
    """The questions of a parsed YAML file: a list, or an object whose `questions` is one."""
    listed = content.get("questions") if isinstance(content, Mapping) else content
    if not isinstance(listed, list) or not listed:
        raise RequestError(f"{name} holds no questions: write a list of question and expect")
    return [_golden(item, f"question {number} of {name}") for number, item in enumerate(listed, start=1)]


def judge(golden: Golden, hits: Sequence[Mapping[str, Any]], *, milliseconds: float) -> Outcome:
    ranks = (
        next((rank for rank, hit in enumerate(hits, start=1) if expected.is_met_by(hit)), None)
        for expected in golden.expect
    )
    return Outcome(golden.question, tuple(ranks), milliseconds)


def figures(outcomes: Sequence[Outcome], *, top_k: int) -> Figures:
    count = len(outcomes)
    latencies = sorted(outcome.milliseconds for outcome in outcomes)
    return Figures(
        questions=count,
        top_k=top_k,
        recall=sum(outcome.recall for outcome in outcomes) / count,
        mrr=sum(outcome.reciprocal_rank for outcome in outcomes) / count,
        p50_ms=_percentile(latencies, 50),
        p95_ms=_percentile(latencies, 95),
        p99_ms=_percentile(latencies, 99),
    )


def _golden(item: object, where: str) -> Golden:
    try:
        return Golden.model_validate(item)
    except ValidationError as invalid:
        error = invalid.errors()[0]
        field = ".".join(str(part) for part in error["loc"])
        raise RequestError(f"{where} is malformed: {field} {error['msg']}".replace("  ", " ")) from None


def _names(document: str | None, hit: Mapping[str, Any]) -> bool:
    return document in (None, hit["source"], hit["document_id"]) or hit["source"].endswith(f"/{document}")


def _covers(hit: Mapping[str, Any], kind: str, wanted: int | None) -> bool:
    """A chunk may reach over several pages or rows."""
    if wanted is None:
        return True
    first, last = hit.get(kind), hit.get(f"{kind}_last")
    return first is not None and first <= wanted <= (last or first)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
