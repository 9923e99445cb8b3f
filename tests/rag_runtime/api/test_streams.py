"""Answers as server-sent events, through the front door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import pytest

from rag_runtime.api.sse import alive
from rag_runtime.app import Ports
from rag_runtime.domain import AnswerEvent, Hit, Piece, Turn, Wrote
from rag_runtime.errors import GeneratorUnavailable, Overloaded, StoreUnavailable
from rag_runtime.testing import ScriptedGenerator
from tests.rag_runtime.running import Running, running

QUESTION = "How many cars does the Southern Cross carry?"


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """By name, in order; comments are left out."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block and not block.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def stream(service: Running, question: str = QUESTION) -> list[tuple[str, dict[str, Any]]]:
    response = await service.client.post("/v1/query", json={"question": question, "stream": True})
    assert (response.status_code, response.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-store", "no")
    return events(response.text)


async def test_a_streamed_answer_is_hits_then_quotes_then_the_answer_as_without_streaming() -> None:
    async with running() as service:
        await service.ingest()
        (first, hits), (second, citation), (third, text), (last, done) = await stream(service)
        whole = await service.ask(QUESTION)
    assert (first, second, third, last) == ("hits", "citation", "text", "done")
    assert hits["hits"][0]["source"] == "fleet.csv"
    assert (citation["number"], citation["row"]) == (1, 2)
    assert text["text"] == done["answer"] == whole["answer"]
    assert {**done, "timings_ms": 0, "request_id": 0} == {**whole, "timings_ms": 0, "request_id": 0}


async def test_a_model_s_words_come_as_it_writes_them_and_its_tokens_are_told() -> None:
    async with running(ports=Ports(generator=ScriptedGenerator("It carries eighty."))) as service:
        await service.ingest()
        found = await stream(service)
        metrics = (await service.client.get("/metrics")).text
    assert [data["text"] for name, data in found if name == "text"] == ["It", " carries", " eighty."]
    assert found[-1][1]["usage"] == {"tokens_in": 10, "tokens_out": 3}
    assert 'rag_tokens_total{direction="in"} 10.0' in metrics
    assert 'rag_tokens_total{direction="out"} 3.0' in metrics


async def test_a_model_that_fails_in_the_middle_ends_the_stream_in_words() -> None:
    fault = GeneratorUnavailable("the model broke off", reason="unavailable")
    async with running(ports=Ports(generator=ScriptedGenerator("one two", fault=fault, fault_after=1))) as service:
        await service.ingest()
        found = await stream(service)
        metrics = (await service.client.get("/metrics")).text
    name, problem = found[-1]
    assert (name, problem["status"], problem["detail"]) == ("error", 503, "the model broke off")
    assert problem["request_id"]
    assert "done" not in dict(found)
    assert 'rag_degraded_answers_total{reason="interrupted"} 1.0' in metrics


async def test_one_that_fails_before_its_first_word_is_replaced_by_quotes() -> None:
    generator = ScriptedGenerator(fault=GeneratorUnavailable("no", reason="quota"))
    async with running(ports=Ports(generator=generator)) as service:
        await service.ingest()
        name, done = (await stream(service))[-1]
    assert (name, done["degraded"], done["degraded_reason"]) == ("done", True, "quota")


async def test_what_nobody_expected_ends_the_stream_without_saying_more() -> None:
    generator = ScriptedGenerator("one two", fault=RuntimeError("secret"), fault_after=1)
    async with running(ports=Ports(generator=generator)) as service:
        await service.ingest()
        name, problem = (await stream(service))[-1]
    assert (name, problem["status"]) == ("error", 500)
    assert "secret" not in json.dumps(problem)


async def test_a_store_that_is_down_is_a_status_and_no_stream() -> None:
    async with running() as service:
        service.store.fault = StoreUnavailable("the store does not answer")
        response = await service.client.post("/v1/query", json={"question": "x", "stream": True})
    assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")


class Stalling(ScriptedGenerator):
    """One word, and silence. `silent` is set when it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = asyncio.Event()

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        yield "One"
        self.silent.set()
        await asyncio.sleep(60)


async def test_a_stream_that_cannot_end_in_time_says_so_when_the_service_ends() -> None:
    generator = Stalling()
    async with running({"shutdown_grace": 0.2}, Ports(generator=generator)) as service:
        await service.ingest()
        asking = asyncio.create_task(stream(service))
        await generator.silent.wait()
        service.runtime.drain()
        found = await asking
    assert [name for name, _ in found] == ["hits", "text", "error"]
    assert found[-1][1]["type"].endswith("overloaded")


async def test_one_that_can_end_in_time_is_not_cut_off() -> None:
    async with running({"shutdown_grace": 20.0}, Ports(generator=ScriptedGenerator("one two"))) as service:
        await service.ingest()
        service.runtime.drain()
        assert (await stream(service))[-1][0] == "done"


async def test_a_deadline_that_passes_in_the_middle_ends_the_stream() -> None:
    async with running({"gemini_timeout": 0.1}, Ports(generator=Stalling())) as service:
        await service.ingest()
        name, problem = (await stream(service))[-1]
    assert (name, problem["detail"]) == ("error", "the language model did not answer in time")


async def slow(closed: asyncio.Event) -> AsyncGenerator[AnswerEvent, None]:
    try:
        yield Wrote("one")
        await asyncio.sleep(60)
    finally:
        closed.set()


async def test_silence_is_filled_and_who_leaves_ends_it() -> None:
    closed = asyncio.Event()
    kept = alive(slow(closed), asyncio.Event(), seconds=0.001)
    assert [await anext(kept) for _ in range(3)] == [Wrote("one"), None, None]
    assert not closed.is_set()
    await kept.aclose()
    assert closed.is_set()


async def test_an_end_of_the_service_ends_it_in_words() -> None:
    closed, ending = asyncio.Event(), asyncio.Event()
    kept = alive(slow(closed), ending, seconds=60)
    assert await anext(kept) == Wrote("one")
    ending.set()
    with pytest.raises(Overloaded):
        await anext(kept)
    assert closed.is_set()
