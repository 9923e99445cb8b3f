"""A question to an answer with citations. Where the language model fails, hits are quoted instead, and it is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rag_runtime.domain import Answer, Generated, Hit
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.ports import Generator
from rag_runtime.prompting import NOT_FOUND_ANSWER
from rag_runtime.retrieve import Retriever
from rag_runtime.routing import Route, Router, Style

# Another attempt may help with these; the others would fail the same way again.
PASSING = frozenset({"unavailable", "malformed", "empty"})
# These say nothing about whether the next question could be answered.
ABOUT_THE_QUESTION = frozenset({"refused", "empty", "rejected"})
# Quoting reads more hits than a language model is given: they cost it next to nothing.
QUOTED_HITS = 30
ATTEMPTS = 3
BACKOFF_SECONDS = 0.2


class Breaker:
    """After so many failures in a row, spare the next requests for a while; then one of them tries again."""

    def __init__(
        self, *, failures: int = 3, pause_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause_seconds
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def check(self) -> None:
        if self._failures < self._limit:
            return
        if self._clock() < self._open_until:
            raise GeneratorUnavailable("the language model failed repeatedly and is spared for now", reason="spared")
        self._open_until = self._clock() + self._pause

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._pause


@dataclass(slots=True)
class LastCall:
    """How the language model fared when it was last asked; None before that."""

    error: str | None = None
    at: float | None = None


class Answerer:
    def __init__(
        self,
        retriever: Retriever,
        router: Router,
        generator: Generator | None,
        quoting: Generator,
        *,
        timeout_seconds: float = 60.0,
        breaker: Breaker | None = None,
        on_degraded: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._retriever = retriever
        self._router = router
        self._generator = generator
        self._quoting = quoting
        self._timeout_seconds = timeout_seconds
        self._breaker = breaker or Breaker()
        self._on_degraded = on_degraded
        self.last_call = LastCall()

    async def answer(self, question: str, *, top_k: int, style: Style | None = None) -> Answer:
        route = self._router.choose(question, top_k=top_k, style=style)
        retrieved = await self._retriever.retrieve(question, top_k=max(route.top_k, QUOTED_HITS))
        begin = time.perf_counter()
        generated, reason = await self._generate(question, retrieved.hits, route)
        timings = {**retrieved.timings_ms, "generate": (time.perf_counter() - begin) * 1000}
        return Answer(
            text=generated.text,
            citations=generated.citations,
            route=route.name,
            degraded=reason is not None,
            degraded_reason=reason,
            timings_ms=_with_total(timings),
        )

    async def _generate(self, question: str, hits: Sequence[Hit], route: Route) -> tuple[Generated, str | None]:
        if not hits:
            return Generated(NOT_FOUND_ANSWER, ()), None
        if self._generator is None:
            return await self._quoting.generate(question, hits, max_words=route.max_words), None
        try:
            return await self._ask(self._generator, question, hits[: route.top_k], route), None
        except GeneratorUnavailable as failed:
            self._on_degraded(failed.reason)
            quoted = await self._quoting.generate(question, hits, max_words=route.max_words)
            return quoted, failed.reason

    async def _ask(self, generator: Generator, question: str, hits: Sequence[Hit], route: Route) -> Generated:
        """The attempts share one deadline, and the breaker counts what they came to."""
        self._breaker.check()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                generated = await _attempts(generator, question, hits, route)
        except TimeoutError as late:
            failed = GeneratorUnavailable("the language model did not answer in time", reason="timeout")
            self._note(failed)
            raise failed from late
        except GeneratorUnavailable as failed:
            self._note(failed)
            raise
        self._breaker.succeeded()
        self.last_call = LastCall(None, time.time())
        return generated

    def _note(self, failed: GeneratorUnavailable) -> None:
        if failed.reason not in ABOUT_THE_QUESTION:
            self._breaker.failed()
            self.last_call = LastCall(str(failed), time.time())


async def _attempts(generator: Generator, question: str, hits: Sequence[Hit], route: Route) -> Generated:
    for attempt in range(1, ATTEMPTS):
        try:
            return await generator.generate(question, hits, max_words=route.max_words)
        except GeneratorUnavailable as failed:
            if failed.reason not in PASSING:
                raise
            await asyncio.sleep(BACKOFF_SECONDS * 2**attempt)
    return await generator.generate(question, hits, max_words=route.max_words)


def _with_total(timings: Mapping[str, float]) -> dict[str, float]:
    rounded = {name: round(value, 3) for name, value in timings.items()}
    return {**rounded, "total": round(sum(timings.values()), 3)}
