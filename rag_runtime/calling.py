"""A language model asked with patience that ends: attempts, one deadline, a breaker that spares it when it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from rag_runtime.domain import Hit, Piece, Tokens, Turn
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.ports import Generator

# Another attempt may help with these; the others would fail the same way again.
PASSING = frozenset({"unavailable", "malformed", "empty"})
# These say nothing about whether the next question could be answered.
ABOUT_THE_QUESTION = frozenset({"refused", "empty", "rejected", "uncited"})
ATTEMPTS = 3
BACKOFF_SECONDS = 0.2
# A model that asks for a longer pause is not waited for: its questions are answered without it.
LONGEST_WAIT_SECONDS = 10.0

# One call of a model from its beginning.
Call = Callable[[], AsyncIterator[Piece]]


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

    def failed(self, *, retry_after: float = 0.0) -> None:
        """A pause that the model itself asks for begins at once, however few failures there were."""
        self._failures = self._limit if retry_after else self._failures + 1
        self._open_until = self._clock() + max(self._pause if not retry_after else 0.0, retry_after)


@dataclass(slots=True)
class LastCall:
    """How the language model fared when it was last asked; None before that."""

    error: str | None = None
    at: float | None = None


class Caller:
    """Calls the model for every question that it is worth calling it for."""

    def __init__(self, generator: Generator, *, timeout_seconds: float = 60.0, breaker: Breaker | None = None) -> None:
        self._generator = generator
        self._timeout_seconds = timeout_seconds
        self._breaker = breaker or Breaker()
        self.last_call = LastCall()

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn], live: bool
    ) -> AsyncGenerator[Piece, None]:
        """What the model says. `live`, it is passed on as it comes, and nothing that was said is said anew."""

        def call() -> AsyncIterator[Piece]:
            return self._generator.generate(question, hits, max_words=max_words, earlier=earlier)

        self._breaker.check()
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            async with aclosing(_attempts(call, deadline, live=live)) as pieces:
                async for piece in pieces:
                    yield piece
        except GeneratorUnavailable as failed:
            self._note(failed)
            raise
        self._breaker.succeeded()
        self.last_call = LastCall(None, time.time())

    def _note(self, failed: GeneratorUnavailable) -> None:
        if failed.reason not in ABOUT_THE_QUESTION:
            self._breaker.failed(retry_after=failed.retry_after or 0.0)
            self.last_call = LastCall(str(failed), time.time())


async def _attempts(call: Call, deadline: float, *, live: bool) -> AsyncGenerator[Piece, None]:
    for attempt in range(1, ATTEMPTS + 1):
        said = False
        try:
            async with aclosing(_until(deadline, call()) if live else _whole(_until(deadline, call()))) as pieces:
                async for piece in pieces:
                    said = said or not isinstance(piece, Tokens)
                    yield piece
        except GeneratorUnavailable as failed:
            pause = _pause(failed, attempt)
            if said or pause is None or asyncio.get_running_loop().time() + pause > deadline:
                raise
            await asyncio.sleep(pause)
        else:
            return


def _pause(failed: GeneratorUnavailable, attempt: int) -> float | None:
    """Seconds until another attempt; None where it would not help, or not soon."""
    if attempt == ATTEMPTS:
        return None
    if failed.retry_after is not None:
        return failed.retry_after if failed.retry_after <= LONGEST_WAIT_SECONDS else None
    return BACKOFF_SECONDS * 2**attempt if failed.reason in PASSING else None


async def _until(deadline: float, pieces: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    """The clock runs while the model is waited for; who takes the pieces may take his time over each."""
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                piece = await anext(pieces)
            yield piece
    except StopAsyncIteration:
        return
    except TimeoutError as late:
        raise GeneratorUnavailable("the language model did not answer in time", reason="timeout") from late
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _whole(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The same, once all of it is there: of an attempt that fails nothing is said."""
    async with aclosing(pieces):
        for piece in [piece async for piece in pieces]:
            yield piece
