"""Filters as callers send them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.rag_runtime.running import Running, running

NOTES = [
    {"id": "one", "text": "The office closes at noon.", "metadata": {"team": "ops", "year": 2023, "due": "2024-06-30"}},
    {"id": "two", "text": "The office opens at nine.", "metadata": {"team": "dev", "year": 2024, "draft": True}},
    {"id": "three", "source": "n/three.txt", "text": "The office has a gate.", "metadata": {"tags": ["a", "b"]}},
]
ONE = {"field": "document_id", "equals": "one"}


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running() as service:
        sent = await service.client.post("/v1/documents?wait=true", json={"documents": NOTES})
        assert sent.status_code == 200, sent.text
        yield service


async def retrieved(service: Running, filter_: object) -> Any:
    return await service.client.post("/v1/retrieve", json={"query": "the office", "filter": filter_})


@pytest.mark.parametrize(
    ("filter_", "documents"),
    [
        (None, {"one", "two", "three"}),
        ({"field": "metadata.team", "equals": "ops"}, {"one"}),
        ({"field": "metadata.team", "any_of": ["ops", "dev"]}, {"one", "two"}),
        ({"field": "metadata.tags", "equals": "b"}, {"three"}),
        ({"field": "metadata.draft", "equals": True}, {"two"}),
        ({"field": "metadata.draft", "equals": 1}, set()),
        ({"field": "metadata.draft", "equals": False}, set()),
        ({"field": "metadata.year", "range": {"gt": 2023}}, {"two"}),
        ({"field": "metadata.year", "range": {"gte": 2023, "lt": 2024.5}}, {"one", "two"}),
        ({"field": "metadata.due", "range": {"lte": "2024-06-30"}}, {"one"}),
        ({"field": "metadata.year", "exists": False}, {"three"}),
        ({"field": "format", "equals": "text"}, {"one", "two", "three"}),
        ({"field": "source", "equals": "n/three.txt"}, {"three"}),
        (
            {"and": [{"field": "metadata.year", "exists": True}, {"not": {"field": "document_id", "equals": "one"}}]},
            {"two"},
        ),
        (
            {"or": [{"field": "document_id", "equals": "one"}, {"field": "metadata.tags", "exists": True}]},
            {"one", "three"},
        ),
    ],
)
async def test_a_filter_chooses_the_documents(service: Running, filter_: object, documents: set[str]) -> None:
    response = await retrieved(service, filter_)
    assert response.status_code == 200, response.text
    assert {hit["document_id"] for hit in response.json()["hits"]} == documents


def nested(depth: int) -> object:
    filter_: object = {"field": "source", "equals": "x"}
    for _ in range(depth):
        filter_ = {"not": filter_}
    return filter_


@pytest.mark.parametrize(
    ("filter_", "said"),
    [
        ({"field": "metadata.a", "matches": "x.*"}, "matches"),
        ({"field": "metadata.a"}, "needs one of"),
        ({"field": "metadata.a", "equals": "x", "exists": True}, "needs one of"),
        ({"field": "metadata.a", "equals": None}, "needs one of"),
        ({"field": "metadata.a", "equals": ["x"]}, "equals"),
        ({"field": "metadata.a", "any_of": []}, "any_of"),
        ({"field": "metadata.a", "any_of": ["x"] * 101}, "any_of"),
        ({"field": "metadata.a", "range": {}}, "needs gt"),
        ({"field": "metadata.a", "range": {"gt": "x"}}, "ISO date"),
        ({"field": "metadata.a", "range": {"gt": True}}, "range"),
        ({"field": "metadata.a", "range": {"gt": 1, "lt": "2024-01-01"}}, "either numbers or dates"),
        ({"field": "metadata.a", "exists": "yes"}, "exists"),
        ({"field": "metadata.", "exists": True}, "must be one of"),
        ({"field": "text", "equals": "x"}, "must be one of"),
        ({"field": "live", "equals": True}, "must be one of"),
        ({"field": "source", "equals": 1}, "is a word"),
        ({"field": "source", "range": {"gt": 1}}, "is a word"),
        ({"field": "source", "exists": True}, "is a word"),
        ({"and": []}, "and"),
        ({"and": [{"field": "source", "equals": "x"}], "or": []}, "or"),
        ({"not": [{"field": "source", "equals": "x"}]}, "not"),
        ({}, "field"),
        ([], "filter"),
        ("team = ops", "filter"),
        (nested(8), "clauses"),
        (nested(500), "clauses"),
        ({"or": [{"field": "source", "equals": "x"}] * 10_000}, "clauses"),
    ],
)
async def test_any_other_filter_is_refused_with_what_is_wrong(service: Running, filter_: object, said: str) -> None:
    response = await retrieved(service, filter_)
    assert response.status_code == 422, response.text
    assert said in response.text
    assert len(response.text) < 5000


async def test_an_answer_rests_on_what_passes(service: Running) -> None:
    answer = await service.ask("the office opens at nine", filter={"field": "metadata.team", "equals": "dev"})
    assert {citation["document_id"] for citation in answer["citations"]} == {"two"}


async def test_a_filter_with_lone_surrogates_is_answered(service: Running) -> None:
    body = b'{"query": "x", "filter": {"field": "metadata.\\ud800", "equals": "\\udfff"}}'
    response = await service.client.post("/v1/retrieve", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 422)


async def test_hits_are_not_explained_where_nobody_asks(service: Running) -> None:
    response = await service.client.post("/v1/retrieve", json={"query": "the office", "explain": False})
    assert all(hit["explain"] == {} for hit in response.json()["hits"])
