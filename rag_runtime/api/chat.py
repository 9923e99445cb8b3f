"""Answers in the shape of OpenAI's chat completions, for clients that speak nothing else; sources come with them.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from rag_runtime.answer import Asked
from rag_runtime.api import filters, schemas, sse
from rag_runtime.api.body import StrictJsonRoute
from rag_runtime.api.listening import answered
from rag_runtime.api.problems import PROBLEMS
from rag_runtime.domain import Answer, AnswerEvent, Turn, Wrote
from rag_runtime.errors import NotFound
from rag_runtime.service import Runtime

router = APIRouter(prefix="/v1", tags=["questions"], route_class=StrictJsonRoute, responses=PROBLEMS)

MODEL = "ragops"
MAX_MESSAGES = 1000
# A token is about three quarters of a word: https://platform.openai.com/tokenizer
WORDS_PER_TOKEN = 0.75
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": sse.EVENT_SCHEMA}}, "description": "With stream: chunks"}
}


MaxTokens = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Part(schemas.Strict):
    type: Literal["text"]
    text: str


class Message(schemas.Strict):
    """What a system or a developer says is taken and not followed: the service has rules of its own."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[Part], Field(max_length=MAX_MESSAGES)]
    name: str | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(schemas.Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class TextFormat(schemas.Strict):
    type: Literal["text"]


class ChatRequest(schemas.Strict):
    """The last message is the question. What is not here is refused, for it would change what comes back."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    top_k: schemas.TopK = 5
    style: Literal["concise", "detailed", "summary"] | None = None
    filter: filters.AskedFilter | None = None
    n: Literal[1] = 1
    response_format: TextFormat | None = None
    # Taken, and of no effect: there is one model, it is asked for its surest words, and it knows nobody.
    model: str = MODEL
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    parallel_tool_calls: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        """Clients send null for what they do not mean to send."""
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's: it is the question")
        schemas.asked(self.messages[-1].text)
        return self

    def asked(self) -> Asked:
        limit = self.max_completion_tokens or self.max_tokens
        return Asked(
            self.messages[-1].text,
            self.top_k,
            self.style,
            filter=filters.to_domain(self.filter),
            earlier=_turns(self.messages[:-1]),
            max_words=max(1, int(limit * WORDS_PER_TOKEN)) if limit else None,
        )


def _turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    return tuple(Turn(m.role, m.text) for m in messages if m.role in ("user", "assistant"))


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, answer: Answer) -> Self:
        read, written = answer.tokens.read, answer.tokens.written
        return cls(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


class ChatMessage(BaseModel):
    """`citations` are beyond OpenAI's shape: `[1]` in the content stands for the first."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    citations: list[schemas.CitationModel]


class Choice(BaseModel):
    index: int = 0
    message: ChatMessage
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class Completion(BaseModel):
    """`degraded` and its reason are beyond OpenAI's shape, as in `/v1/query`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    choices: list[Choice]
    usage: Usage
    degraded: bool
    degraded_reason: str | None


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = MODEL
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = MODEL


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", summary="OpenAI's list of models: this service is one")
async def list_models() -> ModelList:
    return ModelList(data=[Model()])


@router.get("/models/{model}", summary="OpenAI's description of a model")
async def get_model(model: str) -> Model:
    if model != MODEL:
        raise NotFound(f"there is no model {model[:100]!r}: it is {MODEL!r}")
    return Model()


@router.post(
    "/chat/completions",
    summary="Ask in OpenAI's shape; the answer's message has citations",
    response_model=Completion,
    responses=STREAMED,
)
async def complete(request: Request, body: ChatRequest) -> Completion | Response:
    runtime: Runtime = request.app.state.runtime
    service = await runtime.serving()
    chat = _Chat(f"chatcmpl-{request.state.request_id}", int(time.time()))
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = _Chunks(chat, with_usage=with_usage)
        return await sse.respond(request, service.answerer.stream(body.asked()), render=chunks.render, fail=chunks.fail)
    return chat.completion(await answered(request, service, body.asked()))


class _Chat:
    """One completion: its id, and when it began."""

    def __init__(self, id_: str, created: int) -> None:
        self.id, self.created = id_, created

    def completion(self, answer: Answer) -> Completion:
        return Completion(
            id=self.id,
            created=self.created,
            choices=[Choice(message=ChatMessage(content=answer.text, citations=schemas.citations(answer)))],
            usage=Usage.of(answer),
            degraded=answer.degraded,
            degraded_reason=answer.degraded_reason,
        )

    def chunk(self, delta: Mapping[str, object] | None, *, finish: str | None = None, **more: object) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": MODEL}
        return sse.message({**head, "choices": choices, **more})


class _Chunks:
    """An answer's events as OpenAI's chunks; the last of them has the sources."""

    def __init__(self, chat: _Chat, *, with_usage: bool) -> None:
        self._chat = chat
        self._with_usage = with_usage
        self._begun = False

    def render(self, event: AnswerEvent) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            yield self._chat.chunk({"role": "assistant", "content": ""})
        match event:
            case Wrote():
                yield self._chat.chunk({"content": event.text})
            case Answer():
                cited = [citation.model_dump() for citation in schemas.citations(event)]
                more = {"degraded": event.degraded, "degraded_reason": event.degraded_reason}
                yield self._chat.chunk({"citations": cited}, finish="stop", **more)
                if self._with_usage:
                    yield self._chat.chunk(None, usage=Usage.of(event).model_dump())
                yield b"data: [DONE]\n\n"

    def fail(self, problem: Mapping[str, object]) -> Iterator[bytes]:
        """Clients raise what is under `error`, which `in_request` put there."""
        yield sse.message(problem)
