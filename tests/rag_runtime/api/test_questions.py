"""Questions through the front door: hits, answers and the places they cite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rag_runtime.api.schemas import QueryResponse, RetrieveResponse
from rag_runtime.app import Ports
from rag_runtime.domain import Hit
from rag_runtime.errors import GeneratorUnavailable, StoreUnavailable
from rag_runtime.ports import Search
from rag_runtime.testing import MemoryStore, ScriptedGenerator
from tests.rag_runtime.running import Running, running


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running() as started:
        await started.ingest()
        yield started


async def test_an_answer_quotes_the_row_it_comes_from(service: Running) -> None:
    answer = await service.ask("How many cars does the Southern Cross carry?")
    assert "cars: 80" in answer["answer"]
    citation = answer["citations"][0]
    assert (citation["source"], citation["row"], citation["page"]) == ("fleet.csv", 2, None)
    assert citation["text"] == "name: Southern Cross; cars: 80; master: Bo Ek"
    assert (answer["route"], answer["degraded"], answer["degraded_reason"]) == ("lookup", False, None)
    assert set(answer["timings_ms"]) == {"embed", "search", "generate", "total"}


async def test_what_the_documents_do_not_say_is_not_found(service: Running) -> None:
    answer = await service.ask("Which glacier melted fastest?")
    assert (answer["answer"], answer["citations"]) == ("Not found in the documents.", [])


async def test_hits_come_with_their_place_score_and_ranks(service: Running) -> None:
    response = await service.client.post("/v1/retrieve", json={"query": "Southern Cross", "top_k": 1})
    (hit,) = response.json()["hits"]
    assert "Southern Cross" in hit["text"]
    assert hit["source"] == "fleet.csv"
    assert hit["score"] > 0
    assert hit["explain"]["sparse"]["rank"] == 1


async def test_no_more_hits_come_than_were_asked_for(service: Running) -> None:
    await service.ingest("more.csv", "name\n" + "\n".join(f"Boat {n} " + "long " * 30 for n in range(20)))
    response = await service.client.post("/v1/retrieve", json={"query": "Boat", "top_k": 7})
    assert len(response.json()["hits"]) == 7


async def test_a_language_model_answers_where_there_is_one() -> None:
    generator = ScriptedGenerator("It carries eighty.")
    async with running(ports=Ports(generator=generator)) as service:
        await service.ingest()
        answer = await service.ask("How many cars does the Southern Cross carry?", top_k=1)
    assert (answer["answer"], answer["degraded"]) == ("It carries eighty.", False)
    assert len(answer["citations"]) == 1


@pytest.mark.parametrize("reason", ["timeout", "quota", "refused", "unavailable", "unauthorized"])
async def test_a_failing_language_model_degrades_the_answer_and_says_why(reason: str) -> None:
    generator = ScriptedGenerator(fault=GeneratorUnavailable("no", reason=reason))
    async with running(ports=Ports(generator=generator)) as service:
        await service.ingest()
        answer = await service.ask("How many cars does the Southern Cross carry?")
        metrics = (await service.client.get("/metrics")).text
    assert (answer["degraded"], answer["degraded_reason"]) == (True, reason)
    assert answer["citations"][0]["row"] == 2
    assert f'rag_degraded_answers_total{{reason="{reason}"}} 1.0' in metrics


async def test_an_empty_index_asks_no_language_model() -> None:
    generator = ScriptedGenerator()
    async with running(ports=Ports(generator=generator)) as service:
        answer = await service.ask("Anything?")
    assert (answer["answer"], answer["degraded"]) == ("Not found in the documents.", False)
    assert generator.asked == []


async def test_a_store_that_is_down_is_503_with_retry_after(service: Running) -> None:
    service.store.fault = StoreUnavailable("the store does not answer")
    for path, body in (("/v1/query", {"question": "x"}), ("/v1/retrieve", {"query": "x"})):
        response = await service.client.post(path, json=body)
        assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
        assert response.headers["retry-after"]


async def test_a_store_that_hangs_is_504_at_the_deadline() -> None:
    class Hanging(MemoryStore):
        async def search(self, search: Search) -> list[Hit]:
            await asyncio.sleep(60)
            return await super().search(search)

    async with running({"qdrant_timeout": 0.1}, Ports(store=Hanging())) as service:
        response = await service.client.post("/v1/query", json={"question": "x"})
    assert (response.status_code, response.json()["status"], "retry-after" in response.headers) == (504, 504, True)


async def test_before_it_has_started_everything_says_so() -> None:
    """The store is not there yet: the process waits for it, alive and not ready."""
    async with running(wait=False) as service:
        service.store.fault = StoreUnavailable("not yet")
        response = await service.client.post("/v1/query", json={"question": "x"})
        assert (response.status_code, response.json()["type"].rsplit("/", 1)[1]) == (503, "overloaded")
        assert (await service.client.get("/ready")).json()["reason"] == "starting"
        assert (await service.client.get("/livez")).status_code == 200
        assert (await service.client.get("/health")).json()["status"] == "starting"


async def test_without_preloading_the_first_question_starts_it() -> None:
    async with running({"preload_models": False}, wait=False) as service:
        assert (await service.client.get("/ready")).status_code == 200
        assert not service.runtime.is_started
        assert (await service.ask("Anything?"))["citations"] == []
        assert service.runtime.is_started


async def test_answers_are_of_the_shape_that_is_described(service: Running) -> None:
    """They are written without their models, which would cost more than all else that they cost."""
    asked = {"/v1/retrieve": RetrieveResponse, "/v1/query": QueryResponse}
    bodies = {"/v1/retrieve": {"query": "Southern Cross"}, "/v1/query": {"question": "Southern Cross"}}
    for path, model in asked.items():
        response = await service.client.post(path, json=bodies[path])
        assert response.headers["content-type"] == "application/json"
        assert model.model_validate(response.json(), strict=True, extra="forbid").model_dump() == response.json()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"query": 1}', b'{"query": "x", "more": 1}'])
async def test_what_is_wrong_is_told_as_on_every_route(service: Running, body: bytes) -> None:
    response = await service.client.post("/v1/retrieve", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["errors"]
