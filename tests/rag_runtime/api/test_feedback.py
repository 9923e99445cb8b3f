"""Ratings of answers through the front door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rag_runtime.errors import StoreUnavailable
from tests.rag_runtime.running import Running, running

KEYS = "asker:query:a-query-key,boss:admin:an-admin-key"
ASKER, BOSS = {"x-api-key": "a-query-key"}, {"x-api-key": "an-admin-key"}


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running({"api_keys": KEYS, "api_key_required": True}) as started:
        yield started


async def rate(service: Running, rating: str = "up", *, request_id: str = "abc", **more: object) -> int:
    body = {"request_id": request_id, "rating": rating, **more}
    return (await service.client.post("/v1/feedback", json=body, headers=ASKER)).status_code


async def kept(service: Running) -> list[dict[str, object]]:
    page: dict[str, list[dict[str, object]]] = (await service.client.get("/v1/feedback", headers=BOSS)).json()
    return page["feedback"]


async def test_a_rating_is_kept_with_who_gave_it_and_counted(service: Running) -> None:
    assert await rate(service, "down", comment="It named no page.") == 201
    (found,) = await kept(service)
    assert (found["request_id"], found["rating"], found["comment"], found["caller"]) == (
        *("abc", "down", "It named no page.", "asker"),
    )
    assert 'rag_feedback_total{rating="down"} 1.0' in (await service.client.get("/metrics")).text


async def test_a_second_thought_replaces_the_first(service: Running) -> None:
    assert [await rate(service, "up"), await rate(service, "down")] == [201, 201]
    assert [found["rating"] for found in await kept(service)] == ["down"]


async def test_an_answer_says_by_what_id_it_is_rated(service: Running) -> None:
    response = await service.client.post("/v1/query", json={"question": "x"}, headers=ASKER)
    assert await rate(service, request_id=response.json()["request_id"]) == 201
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_only_admins_read_them(service: Running) -> None:
    assert (await service.client.get("/v1/feedback", headers=ASKER)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"rating": "sideways"},
        {"rating": 5},
        {"comment": "x" * 4001},
        {"request_id": "no spaces allowed"},
        {"request_id": ""},
        {"stars": 5},
    ],
)
async def test_others_are_refused(service: Running, body: dict[str, object]) -> None:
    whole = {"request_id": "abc", "rating": "up", **body}
    assert (await service.client.post("/v1/feedback", json=whole, headers=ASKER)).status_code == 422


async def test_what_cannot_be_kept_is_not_counted(service: Running) -> None:
    service.store.fault = StoreUnavailable("down")
    assert await rate(service) == 503
    assert "rag_feedback_total{" not in (await service.client.get("/metrics")).text
