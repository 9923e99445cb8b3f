"""Answers from Gemini through google-genai; every failure of that library ends here as GeneratorUnavailable."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from pydantic import ValidationError

from rag_runtime.domain import Generated, Hit
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.prompting import NOT_FOUND_ANSWER, build_prompt, cited, is_not_found

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
ODDITIES = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# Thinking models spend these too, so the limit is far above any answer's length.
MAX_OUTPUT_TOKENS = 4096
# No such number of tokens has as many characters.
MAX_ANSWER_CHARACTERS = 100_000


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
        self._http = httpx.AsyncClient(timeout=options.timeout_seconds)
        self._client = genai.Client(
            vertexai=False,
            api_key=options.api_key,
            http_options=types.HttpOptions(
                base_url=options.base_url,
                timeout=int(options.timeout_seconds * 1000),
                httpx_async_client=self._http,
            ),
        )

    async def generate(self, question: str, hits: Sequence[Hit], *, max_words: int) -> Generated:
        prompt = build_prompt(question, hits, delimiter=secrets.token_hex(8), max_words=max_words)
        config = types.GenerateContentConfig(
            system_instruction=prompt.system, temperature=0.0, max_output_tokens=MAX_OUTPUT_TOKENS
        )
        async with _mapped_failures():
            response = await self._client.aio.models.generate_content(
                model=self.model, contents=prompt.user, config=config
            )
        return _generated(response, hits)

    async def check(self) -> None:
        async with _mapped_failures():
            await self._client.aio.models.get(model=self.model)

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


def _generated(response: types.GenerateContentResponse, hits: Sequence[Hit]) -> Generated:
    text = _text(response)
    usage = response.usage_metadata
    tokens_in = (usage.prompt_token_count if usage else None) or 0
    tokens_out = (usage.candidates_token_count if usage else None) or 0
    if is_not_found(text):
        return Generated(NOT_FOUND_ANSWER, (), tokens_in, tokens_out)
    answer, citations = cited(text, hits)
    return Generated(answer, citations, tokens_in, tokens_out)


def _text(response: types.GenerateContentResponse) -> str:
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise GeneratorUnavailable("Gemini refused the prompt", reason="refused")
    candidate = response.candidates[0] if response.candidates else None
    if candidate is not None and candidate.finish_reason in REFUSALS:
        raise GeneratorUnavailable("Gemini refused to answer", reason="refused")
    parts = (candidate.content.parts or []) if candidate is not None and candidate.content is not None else []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    if not text.strip():
        raise GeneratorUnavailable("Gemini answered without a text", reason="empty")
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise GeneratorUnavailable("Gemini's answer is longer than any it was asked for", reason="malformed")
    # JSON can spell lone surrogates, which no response can carry.
    return text.encode("utf-8", "replace").decode()


@asynccontextmanager
async def _mapped_failures() -> AsyncIterator[None]:
    try:
        yield
    except genai_errors.APIError as failed:
        raise GeneratorUnavailable(f"Gemini answered {failed.code}", reason=_reason(failed)) from failed
    except httpx.TimeoutException as late:
        raise GeneratorUnavailable("Gemini did not answer in time", reason="timeout") from late
    except httpx.HTTPError as broken:
        raise GeneratorUnavailable("Gemini cannot be reached", reason="unavailable") from broken
    except (genai_errors.UnknownApiResponseError, ValidationError, *ODDITIES) as odd:
        raise GeneratorUnavailable("Gemini's answer cannot be understood", reason="malformed") from odd


def _reason(failed: genai_errors.APIError) -> str:
    if failed.code == 400 and "API key" in str(failed.message):
        return "unauthorized"
    return REASON_BY_STATUS.get(failed.code, "rejected" if failed.code < 500 else "unavailable")
