"""The queue: each key once, one worker a key, later when it failed, and never lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from rag_operator import queue as queues
from rag_operator.errors import Unreachable
from rag_operator.queue import DONE, RETRY, Again, WorkQueue

Visit = Callable[[str], Awaitable[Again]]


@asynccontextmanager
async def workers(queue: WorkQueue[str], visit: Visit, count: int = 3) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(queues.work(queue, visit, deadline_seconds=0.2)) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(is_so: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - what is waited for is a plain dict
            await asyncio.sleep(0.005)


async def test_a_key_that_waits_is_not_queued_twice() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(5):
        queue.add("a")
    assert await queue.take() == "a"
    queue.done("a", DONE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.take()


async def test_a_key_that_changes_while_it_is_worked_on_is_taken_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0.02)
    assert not taking.done()
    queue.done("a", DONE)
    assert await taking == "a"


async def test_the_earlier_time_holds() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", after_seconds=60)
    queue.add("a")
    queue.add("a", after_seconds=60)
    async with asyncio.timeout(1):
        assert await queue.take() == "a"


async def test_a_later_key_does_not_hold_up_an_earlier_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("later", after_seconds=60)
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.add("now")
    async with asyncio.timeout(1):
        assert await taking == "now"


@pytest.mark.parametrize("error", [Unreachable("away"), ValueError("a defect"), TimeoutError()])
async def test_a_visit_that_fails_is_repeated_and_stops_no_other(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "BACKOFF_FIRST_SECONDS", 0.01)
    visits: Counter[str] = Counter()

    async def visit(key: str) -> Again:
        visits[key] += 1
        if key == "bad" and visits[key] < 3:
            raise error
        return DONE

    queue: WorkQueue[str] = WorkQueue()
    queue.add("bad")
    queue.add("good")
    async with workers(queue, visit, count=1):
        await until(lambda: visits == {"bad": 3, "good": 1})


async def test_a_visit_that_takes_too_long_is_cut_off_and_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "BACKOFF_FIRST_SECONDS", 0.01)
    visits: Counter[str] = Counter()

    async def visit(key: str) -> Again:
        visits[key] += 1
        if visits[key] == 1:
            await asyncio.sleep(60)
        return DONE

    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    async with workers(queue, visit, count=1):
        await until(lambda: visits["a"] == 2)


async def test_a_time_to_come_back_is_kept() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.done(await queue.take(), Again(after_seconds=0.01))
    async with asyncio.timeout(1):
        assert await queue.take() == "a"


def test_pauses_grow_to_a_minute_and_are_never_alike() -> None:
    pauses = [queues.backoff_seconds(failures) for failures in range(1, 12)]
    assert 0.8 <= pauses[0] <= 1.2
    assert all(48 <= pause <= 72 for pause in pauses[7:])
    assert len(set(pauses)) == len(pauses)


async def test_settling_waits_for_what_is_worked_on_and_begins_nothing() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.take()
    queue.add("b")
    settling = asyncio.create_task(queue.settle())
    await asyncio.sleep(0.01)
    assert not settling.done()
    queue.done(key, RETRY)
    await settling
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            pytest.fail(f"{await queue.take()} was handed out")


async def test_under_load_no_key_is_lost_and_none_is_worked_on_twice_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    busy: set[str] = set()
    wanted, seen = Counter[str](), Counter[str]()

    async def visit(key: str) -> Again:
        assert key not in busy
        busy.add(key)
        seen[key] = wanted[key]
        await asyncio.sleep(0.001)
        busy.remove(key)
        return DONE

    async with workers(queue, visit):
        for number in range(500):
            key = str(number % 17)
            wanted[key] += 1
            queue.add(key, after_seconds=0.001 * (number % 3))
            if number % 50 == 0:
                await asyncio.sleep(0.005)
        await until(lambda: seen == wanted)
    assert queue.longest_run_seconds() == 0
