"""A language model that fails is asked again where that helps, bounded in time, and spared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from rag_runtime import calling
from rag_runtime.calling import Breaker, Caller
from rag_runtime.domain import Hit, Piece, Turn
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.testing import ScriptedGenerator


async def ask(caller: Caller, *, live: bool = False) -> str:
    """What it says, or the reason why it does not."""
    pieces = caller.generate("?", [], max_words=50, earlier=(), live=live)
    try:
        return "".join([piece async for piece in pieces if isinstance(piece, str)])
    except GeneratorUnavailable as failed:
        return failed.reason


def failing(reason: str, *, retry_after: float | None = None, after: int = 0) -> ScriptedGenerator:
    fault = GeneratorUnavailable("no", reason=reason, retry_after=retry_after)
    return ScriptedGenerator("one two three", fault=fault, fault_after=after)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "BACKOFF_SECONDS", 0.001)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("reason", "attempts"), [("unavailable", 3), ("quota", 1), ("refused", 1), ("timeout", 1)])
async def test_only_what_may_pass_is_tried_again(reason: str, attempts: int, live: bool) -> None:
    generator = failing(reason)
    assert await ask(Caller(generator), live=live) == reason
    assert len(generator.asked) == attempts


@pytest.mark.parametrize(("live", "attempts"), [(False, 3), (True, 1)])
async def test_nothing_that_was_said_is_said_anew(live: bool, attempts: int) -> None:
    generator = failing("unavailable", after=2)
    assert await ask(Caller(generator), live=live) == "unavailable"
    assert len(generator.asked) == attempts


class Hanging(ScriptedGenerator):
    """Says one word and no more. `ended` is set when it is left."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        try:
            yield "one"
            await asyncio.sleep(60)
        finally:
            self.ended.set()


@pytest.mark.parametrize("live", [False, True])
async def test_one_that_hangs_is_left_at_the_deadline(live: bool) -> None:
    generator = Hanging()
    assert await ask(Caller(generator, timeout_seconds=0.05), live=live) == "timeout"
    assert generator.ended.is_set()


async def test_who_leaves_the_words_ends_the_call() -> None:
    generator = Hanging()
    pieces = Caller(generator).generate("?", [], max_words=5, earlier=(), live=True)
    assert await anext(pieces) == "one"
    await pieces.aclose()
    assert generator.ended.is_set()


async def test_a_short_pause_that_the_model_asks_for_is_kept() -> None:
    generator = failing("quota", retry_after=0.001)
    assert await ask(Caller(generator)) == "quota"
    assert len(generator.asked) == 3


@pytest.mark.parametrize(("retry_after", "seconds"), [(30.0, 60.0), (5.0, 1.0)])
async def test_a_long_one_or_one_past_the_deadline_is_not(retry_after: float, seconds: float) -> None:
    """The next questions do not ask before it is over."""
    now, generator = 0.0, failing("quota", retry_after=retry_after)
    caller = Caller(generator, timeout_seconds=seconds, breaker=Breaker(clock=lambda: now))
    assert [await ask(caller), await ask(caller)] == ["quota", "spared"]
    generator.fault, now = None, retry_after
    assert await ask(caller) == "one two three"
    assert len(generator.asked) == 2


async def test_after_three_failures_it_is_spared_and_then_tried_once_more() -> None:
    now, generator = 0.0, failing("quota")
    caller = Caller(generator, breaker=Breaker(failures=3, pause_seconds=30, clock=lambda: now))
    assert [await ask(caller) for _ in range(5)] == ["quota"] * 3 + ["spared"] * 2
    now = 31.0
    assert [await ask(caller) for _ in range(2)] == ["quota", "spared"]
    generator.fault, now = None, 62.0
    assert [await ask(caller) for _ in range(2)] == ["one two three"] * 2


@pytest.mark.parametrize("reason", ["refused", "empty", "rejected", "uncited"])
async def test_what_is_about_the_question_spares_nobody(reason: str) -> None:
    caller = Caller(failing(reason))
    assert {await ask(caller) for _ in range(5)} == {reason}


async def test_the_last_call_is_remembered_for_the_health_page() -> None:
    generator = failing("quota")
    caller = Caller(generator)
    await ask(caller)
    assert caller.last_call.error == "no"
    generator.fault = None
    await ask(caller)
    assert caller.last_call.error is None
