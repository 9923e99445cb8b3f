"""A question to an answer with citations. Where the language model fails, hits are quoted instead, and it is said."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from rag_runtime.calling import Caller, LastCall
from rag_runtime.domain import Answer, AnswerEvent, Citation, Cited, Filter, Found, Hit, Piece, Tokens, Turn, Wrote
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.ports import Generator
from rag_runtime.prompting import NOT_FOUND_ANSWER
from rag_runtime.quoting import ranked_quotes
from rag_runtime.retrieve import Retriever
from rag_runtime.routing import Route, Router, Style
from rag_runtime.weakness import is_weak

# Quoting reads more hits than a language model is given: they cost it next to nothing.
QUOTED_HITS = 30
# How an answer ended that had been begun: the label under which it is counted.
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how it is to be answered."""

    question: str
    top_k: int
    style: Style | None = None
    earlier: Sequence[Turn] = ()
    max_words: int | None = None
    filter: Filter | None = None


@dataclass(slots=True)
class _Draft:
    """What has been said of an answer so far."""

    text: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)
    reason: str | None = None

    def take(self, piece: Piece) -> AnswerEvent | None:
        match piece:
            case Tokens():
                self.tokens = piece
            case Citation():
                self.citations.append(piece)
                return Cited(len(self.citations), piece)
            case str() if piece:
                self.text.append(piece)
                return Wrote(piece)
        return None


class Answerer:
    def __init__(
        self,
        retriever: Retriever,
        router: Router,
        model: Caller | None,
        quoting: Generator,
        *,
        unrelated_below: float | None = None,
        on_degraded: Callable[[str], None] = lambda _: None,
        on_tokens: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._retriever = retriever
        self._router = router
        self._model = model
        self._quoting = quoting
        self._unrelated_below = unrelated_below
        self._on_degraded = on_degraded
        self._on_tokens = on_tokens

    @property
    def last_call(self) -> LastCall:
        return self._model.last_call if self._model else LastCall()

    async def answer(self, asked: Asked) -> Answer:
        async with aclosing(self._events(asked, live=False)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("an answer is always the last event")

    def stream(self, asked: Asked) -> AsyncGenerator[AnswerEvent, None]:
        """Raise GeneratorUnavailable where the model fails in the middle: what was said stands, and is not all."""
        return self._events(asked, live=True)

    async def _events(self, asked: Asked, *, live: bool) -> AsyncGenerator[AnswerEvent, None]:
        route = self._router.choose(asked.question, top_k=asked.top_k, style=asked.style)
        route = route.within(asked.max_words)
        found = await self._retriever.retrieve(
            asked.question,
            top_k=max(route.top_k, QUOTED_HITS),
            explain=self._unrelated_below is not None,
            filter_=asked.filter,
        )
        yield Found(found.hits[: route.top_k])
        begin, draft = time.perf_counter(), _Draft()
        try:
            async with aclosing(self._pieces(asked, found.hits, route, draft, live=live)) as pieces:
                async for piece in pieces:
                    if event := draft.take(piece):
                        yield event
        finally:
            self._on_tokens(draft.tokens.read, draft.tokens.written)
        timings = {**found.timings_ms, "generate": (time.perf_counter() - begin) * 1000}
        yield Answer(
            text="".join(draft.text),
            citations=tuple(draft.citations),
            route=route.name,
            degraded=draft.reason is not None,
            degraded_reason=draft.reason,
            timings_ms=_with_total(timings),
            tokens=draft.tokens,
        )

    async def _pieces(
        self, asked: Asked, hits: Sequence[Hit], route: Route, draft: _Draft, *, live: bool
    ) -> AsyncGenerator[Piece, None]:
        """The model's words where they can be had, else quotes."""
        if not hits or (self._model and self._is_weak(asked.question, hits)):
            yield NOT_FOUND_ANSWER
            return
        if self._model:
            given = hits[: route.top_k]
            words = self._model.generate(
                asked.question, given, max_words=route.max_words, earlier=asked.earlier, live=live
            )
            try:
                async with aclosing(words):
                    async for piece in words:
                        yield piece
            except GeneratorUnavailable as failed:
                if draft.text or draft.citations:
                    self._on_degraded(INTERRUPTED)
                    raise
                self._on_degraded(failed.reason)
                draft.reason = failed.reason
            else:
                return
        async for piece in self._quoting.generate(asked.question, hits, max_words=route.max_words):
            yield piece

    def _is_weak(self, question: str, hits: Sequence[Hit]) -> bool:
        """Where the dense model was not measured, the language model is left to judge."""
        if self._unrelated_below is None:
            return False
        coverage = max((quote.coverage for quote in ranked_quotes(question, hits)), default=0.0)
        return is_weak(coverage, hits, unrelated_below=self._unrelated_below)


def _with_total(timings: Mapping[str, float]) -> dict[str, float]:
    rounded = {name: round(value, 3) for name, value in timings.items()}
    return {**rounded, "total": round(sum(timings.values()), 3)}
