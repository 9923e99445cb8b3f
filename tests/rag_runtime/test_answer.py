"""A language model that fails is spared, bounded in time, and replaced by quotes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rag_runtime.adapters.extractive import ExtractiveGenerator
from rag_runtime.answer import Answerer, Breaker
from rag_runtime.domain import Answer, DocumentId, EmbeddedChunk, Generated, Hit
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.retrieve import Retriever
from rag_runtime.routing import Router
from rag_runtime.testing import HashEmbedder, MemoryStore, ScriptedGenerator
from tests.rag_runtime.hits import plain

QUESTION = "When does boarding close?"


async def answerer(
    generator: ScriptedGenerator, *, timeout_seconds: float = 5.0, breaker: Breaker | None = None
) -> Answerer:
    store, embedder = MemoryStore(), HashEmbedder()
    chunk = plain("Boarding closes at noon.").chunk
    (vectors,) = await embedder.embed_documents([chunk.text])
    await store.stage([EmbeddedChunk(chunk, vectors)])
    await store.publish(DocumentId(chunk.document_id), chunk.content_hash)
    return Answerer(
        Retriever(embedder, store),
        Router(local_routing=True, summary_top_k=20, detailed_max_words=150),
        generator,
        ExtractiveGenerator(),
        timeout_seconds=timeout_seconds,
        breaker=breaker,
    )


def failing(reason: str) -> ScriptedGenerator:
    return ScriptedGenerator(fault=GeneratorUnavailable("no", reason=reason))


@pytest.mark.parametrize(("reason", "attempts"), [("unavailable", 3), ("quota", 1), ("refused", 1), ("timeout", 1)])
async def test_only_what_may_pass_is_tried_again(reason: str, attempts: int) -> None:
    generator = failing(reason)
    answer = await (await answerer(generator)).answer(QUESTION, top_k=5)
    assert len(generator.asked) == attempts
    assert (answer.degraded_reason, answer.text) == (reason, "Boarding closes at noon. [1]")


async def test_one_that_hangs_is_left_after_the_deadline() -> None:
    class Hanging(ScriptedGenerator):
        async def generate(self, question: str, hits: Sequence[Hit], *, max_words: int) -> Generated:
            await asyncio.sleep(60)
            raise AssertionError

    answer = await (await answerer(Hanging(), timeout_seconds=0.05)).answer(QUESTION, top_k=5)
    assert answer.degraded_reason == "timeout"


async def test_after_three_failures_it_is_spared_and_then_tried_once_more() -> None:
    now = 0.0
    generator = failing("quota")
    asking = await answerer(generator, breaker=Breaker(failures=3, pause_seconds=30, clock=lambda: now))

    async def reasons(times: int) -> list[str | None]:
        return [(await asking.answer(QUESTION, top_k=5)).degraded_reason for _ in range(times)]

    assert await reasons(5) == ["quota"] * 3 + ["spared"] * 2
    now = 31.0
    assert await reasons(2) == ["quota", "spared"]
    generator.fault, now = None, 62.0
    assert await reasons(2) == [None, None]


async def test_a_refusal_is_about_the_question_and_spares_nobody() -> None:
    generator = failing("refused")
    asking = await answerer(generator)
    answers: list[Answer] = [await asking.answer(QUESTION, top_k=5) for _ in range(5)]
    assert {answer.degraded_reason for answer in answers} == {"refused"}
    assert len(generator.asked) == 5


async def test_the_last_call_is_remembered_for_the_health_page() -> None:
    asking = await answerer(generator := failing("quota"))
    await asking.answer(QUESTION, top_k=5)
    assert asking.last_call.error == "no"
    generator.fault = None
    await asking.answer(QUESTION, top_k=5)
    assert asking.last_call.error is None
