"""OpenAI's shape, spoken by its official client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI

from rag_runtime.app import Ports
from rag_runtime.errors import GeneratorUnavailable, StoreUnavailable
from rag_runtime.testing import ScriptedGenerator
from tests.rag_runtime.running import Running, running

QUESTION = {"role": "user", "content": "How many cars does the Southern Cross carry?"}
KEYS = "asker:query:a-query-key,sender:ingest:an-ingest-key"


@pytest.fixture
def generator() -> ScriptedGenerator:
    return ScriptedGenerator("It carries eighty.")


@pytest.fixture
async def service(generator: ScriptedGenerator) -> AsyncIterator[Running]:
    async with running({"api_keys": KEYS, "api_key_required": True}, Ports(generator=generator)) as started:
        await started.ingest(**{"x-api-key": "an-ingest-key"})
        yield started


def openai_client(service: Running, key: str = "a-query-key") -> AsyncOpenAI:
    return AsyncOpenAI(base_url="http://runtime/v1", api_key=key, http_client=service.client, max_retries=0)


async def test_an_answer_is_a_completion_with_its_sources(service: Running) -> None:
    done = await openai_client(service).chat.completions.create(model="ragops", messages=[QUESTION])
    choice = done.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("It carries eighty.", "stop")
    assert choice.message.citations[0]["source"] == "fleet.csv"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (10, 3, 13)
    assert done.degraded is False


async def test_without_a_model_quotes_are_the_completion() -> None:
    async with running() as service:
        await service.ingest()
        done = await openai_client(service).chat.completions.create(model="any", messages=[QUESTION])
    assert "cars: 80" in done.choices[0].message.content
    assert done.choices[0].message.citations[0]["row"] == 2


async def test_a_streamed_one_comes_in_chunks_the_last_with_its_sources(service: Running) -> None:
    chunks = [
        chunk
        async for chunk in await openai_client(service).chat.completions.create(
            model="ragops", messages=[QUESTION], stream=True, stream_options={"include_usage": True}
        )
    ]
    *said, last, usage = chunks
    assert said[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in said) == "It carries eighty."
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].delta.citations[0]["source"] == "fleet.csv"
    assert (usage.choices, usage.usage.total_tokens) == ([], 13)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_last_message_is_the_question_and_the_turns_before_it_its_context(
    service: Running, generator: ScriptedGenerator
) -> None:
    messages = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": [{"type": "text", "text": "Tell me of"}, {"type": "text", "text": "the ferry."}]},
        {"role": "assistant", "content": "It is large."},
        QUESTION,
    ]
    await openai_client(service).chat.completions.create(model="ragops", messages=messages)
    assert generator.asked == [QUESTION["content"]]
    assert [(turn.role, turn.text) for turn in generator.earlier] == [
        ("user", "Tell me of\nthe ferry."),
        ("assistant", "It is large."),
    ]


async def test_what_clients_commonly_send_is_taken(service: Running) -> None:
    done = await openai_client(service).chat.completions.create(
        model="gpt-4o",
        messages=[QUESTION],
        temperature=1,
        top_p=0.5,
        presence_penalty=0,
        seed=1,
        user="somebody",
        n=1,
        max_tokens=2,
        response_format={"type": "text"},
        stop=None,
        extra_body={"top_k": 1, "style": "concise"},
    )
    assert done.choices[0].message.content == "It"
    assert len(done.choices[0].message.citations) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"stop": ["."]},
        {"n": 2},
        {"response_format": {"type": "json_object"}},
        {"extra_body": {"collection": "other"}},
        {"messages": [QUESTION, {"role": "assistant", "content": "eighty"}]},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
        {"messages": []},
    ],
)
async def test_what_would_change_the_answer_is_refused(service: Running, more: dict[str, object]) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        await openai_client(service).chat.completions.create(**{"model": "ragops", "messages": [QUESTION], **more})
    assert refused.value.code == "invalid-request"


async def test_a_model_that_fails_in_the_middle_raises_in_the_client(
    service: Running, generator: ScriptedGenerator
) -> None:
    generator.fault, generator.fault_after = GeneratorUnavailable("it broke off", reason="unavailable"), 1
    stream = await openai_client(service).chat.completions.create(model="ragops", messages=[QUESTION], stream=True)
    with pytest.raises(openai.APIError, match="it broke off"):
        [chunk async for chunk in stream]


async def test_errors_are_those_that_the_client_knows(service: Running) -> None:
    service.store.fault = StoreUnavailable("the store does not answer")
    with pytest.raises(openai.InternalServerError, match="the store does not answer") as down:
        await openai_client(service).chat.completions.create(model="ragops", messages=[QUESTION])
    assert down.value.status_code == 503
    with pytest.raises(openai.AuthenticationError, match="a valid key is needed"):
        await openai_client(service, key="wrong").models.list()
    with pytest.raises(openai.PermissionDeniedError, match="no scope"):
        await openai_client(service, key="an-ingest-key").models.list()


async def test_the_models_are_one(service: Running) -> None:
    client = openai_client(service)
    assert [model.id async for model in client.models.list()] == ["ragops"]
    assert (await client.models.retrieve("ragops")).owned_by == "ragops"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-4o")
