"""Answers from Gemini through google-genai; every failure of that library ends here as GeneratorUnavailable."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import httpx
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from rag_runtime.claims import Claims
from rag_runtime.domain import Hit, Piece, Tokens, Turn
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.prompting import NOT_FOUND_ANSWER, build_prompt, is_not_found

# One word per cause, for a metric's label and an answer's degraded_reason.
REASON_BY_STATUS = {401: "unauthorized", 403: "unauthorized", 404: "unknown_model", 408: "timeout", 429: "quota"}
REFUSALS = frozenset(
    {
        types.FinishReason.SAFETY,
        types.FinishReason.RECITATION,
        types.FinishReason.BLOCKLIST,
        types.FinishReason.PROHIBITED_CONTENT,
        types.FinishReason.SPII,
        types.FinishReason.LANGUAGE,
    }
)
# The library checks little of what it parses: a proxy's error page, or a tower of brackets, surfaces as any of these.
# Its own odd ones, and pydantic's, are ValueErrors.
ODDITIES = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# google.rpc.RetryInfo, among an error's details: "retryDelay": "12s".
RETRY_DELAY = re.compile(r"'retryDelay': '([0-9.]+)s'")
SECONDS = re.compile(r"\d{1,6}(\.\d+)?")
# Thinking models spend these too, so the limit is far above any answer's length.
MAX_OUTPUT_TOKENS = 4096
# No such number of tokens has as many characters.
MAX_ANSWER_CHARACTERS = 100_000


# The responses that the call at hand has opened.
_OPENED: ContextVar[list[httpx.Response]] = ContextVar("opened")


async def _note_opened(response: httpx.Response) -> None:
    _OPENED.get([]).append(response)


@dataclass(frozen=True, slots=True)
class GeminiOptions:
    api_key: str
    model: str
    timeout_seconds: float
    base_url: str | None = None


class GeminiGenerator:
    """One client for the life of the process. It makes one attempt: retries are the caller's, within its deadline."""

    def __init__(self, options: GeminiOptions) -> None:
        self.model = options.model
        # The library would take aiohttp where it happens to be installed; this is the same client everywhere.
        self._http = httpx.AsyncClient(timeout=options.timeout_seconds, event_hooks={"response": [_note_opened]})
        self._client = genai.Client(
            vertexai=False,
            api_key=options.api_key,
            http_options=types.HttpOptions(
                base_url=options.base_url,
                timeout=int(options.timeout_seconds * 1000),
                httpx_async_client=self._http,
            ),
        )

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        prompt = build_prompt(question, hits, delimiter=secrets.token_hex(8), max_words=max_words, earlier=earlier)
        config = types.GenerateContentConfig(
            system_instruction=prompt.system, temperature=0.0, max_output_tokens=MAX_OUTPUT_TOKENS
        )
        claims, said, written = Claims(hits), False, ""
        async with mapped_failures(), aclosing(self._stream(prompt.user, config)) as responses:
            async for response in responses:
                if response.usage_metadata is not None:
                    yield _tokens(response.usage_metadata)
                text = _text(response)
                written += text
                if len(written) > MAX_ANSWER_CHARACTERS:
                    raise GeneratorUnavailable("Gemini's answer is longer than asked for", reason="malformed")
                for piece in claims.feed(text):
                    said = True
                    yield piece
        for piece in claims.finish():
            said = True
            yield piece
        if not said:
            yield _nothing_cited(written)

    async def _stream(
        self, prompt: str, config: types.GenerateContentConfig
    ) -> AsyncGenerator[types.GenerateContentResponse, None]:
        opened: list[httpx.Response] = []
        _OPENED.set(opened)
        try:
            async for response in await self._client.aio.models.generate_content_stream(
                model=self.model, contents=prompt, config=config
            ):
                yield response
        finally:
            # The library would leave a stream that nobody reads on to the garbage collector.
            for one in opened:
                await one.aclose()

    async def check(self) -> None:
        async with mapped_failures():
            await self._client.aio.models.get(model=self.model)

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


def _tokens(usage: types.GenerateContentResponseUsageMetadata) -> Tokens:
    """What was thought is paid for like what was said."""
    written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return Tokens(usage.prompt_token_count or 0, written)


def _text(response: types.GenerateContentResponse) -> str:
    """What this part of the answer says; empty where it only reports."""
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise GeneratorUnavailable("Gemini refused the prompt", reason="refused")
    candidate = response.candidates[0] if response.candidates else None
    if candidate is not None and candidate.finish_reason in REFUSALS:
        raise GeneratorUnavailable("Gemini refused to answer", reason="refused")
    parts = (candidate.content.parts or []) if candidate is not None and candidate.content is not None else []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    # JSON can spell lone surrogates, which no response can carry.
    return text.encode("utf-8", "replace").decode()


def _nothing_cited(written: str) -> str:
    """Of an answer that came to its end without a claim that cites: what to say instead."""
    if not written.strip():
        raise GeneratorUnavailable("Gemini answered without a text", reason="empty")
    if not is_not_found(written):
        raise GeneratorUnavailable("Gemini's answer rests on none of the passages", reason="uncited")
    return NOT_FOUND_ANSWER


@asynccontextmanager
async def mapped_failures() -> AsyncIterator[None]:
    try:
        yield
    except genai_errors.APIError as failed:
        raise GeneratorUnavailable(
            f"Gemini answered {failed.code}", reason=_reason(failed), retry_after=_retry_after(failed)
        ) from failed
    except httpx.TimeoutException as late:
        raise GeneratorUnavailable("Gemini did not answer in time", reason="timeout") from late
    except (httpx.HTTPError, httpx.StreamError) as broken:
        raise GeneratorUnavailable("Gemini cannot be reached", reason="unavailable") from broken
    except (genai_errors.ContinuationInterruptedError, *ODDITIES) as odd:
        raise GeneratorUnavailable("Gemini's answer cannot be understood", reason="malformed") from odd


def _reason(failed: genai_errors.APIError) -> str:
    if failed.code == 400 and "API key" in str(failed.message):
        return "unauthorized"
    if not isinstance(failed.code, int):
        return "malformed"
    return REASON_BY_STATUS.get(failed.code, "rejected" if failed.code < 500 else "unavailable")


def _retry_after(failed: genai_errors.APIError) -> float | None:
    """The seconds of the header, else those that the error's own details name."""
    headers = getattr(failed.response, "headers", None) or {}
    said = [str(headers.get("retry-after", "")), *RETRY_DELAY.findall(str(failed.details))]
    return next((float(seconds) for seconds in said if SECONDS.fullmatch(seconds)), None)
