"""What the cache keeps, and for how long: the clock and the version are the test's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from rag_runtime.caching import ResponseCache


@dataclass
class World:
    """A version that others raise, a clock, and what was asked of them."""

    version: int = 1
    now: float = 100.0
    version_reads: int = 0
    made: int = 0
    hits: int = 0
    misses: int = 0

    async def read_version(self) -> int:
        self.version_reads += 1
        return self.version

    async def make(self) -> int:
        self.made += 1
        return self.made

    def count_hit(self) -> None:
        self.hits += 1

    def count_miss(self) -> None:
        self.misses += 1

    def cache(self, max_entries: int = 10) -> ResponseCache:
        return ResponseCache(
            self.read_version,
            max_entries=max_entries,
            ttl_seconds=300,
            on_hit=self.count_hit,
            on_miss=self.count_miss,
            clock=lambda: self.now,
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_the_same_request_is_made_once(world: World) -> None:
    cache = world.cache()
    assert [await cache.find("a", world.make) for _ in range(3)] == [(1, False), (1, True), (1, True)]
    assert await cache.find("b", world.make) == (2, False)
    assert (world.hits, world.misses) == (2, 2)


async def test_the_version_is_read_once_a_second(world: World) -> None:
    cache = world.cache()
    for _ in range(50):
        await cache.find("a", world.make)
        world.now += 0.1
    assert world.version_reads == 5


async def test_many_at_once_read_the_version_once(world: World) -> None:
    cache = world.cache()
    await asyncio.gather(*(cache.find(n, world.make) for n in range(20)))
    assert world.version_reads == 1


async def test_a_change_of_another_replica_is_seen_after_a_second(world: World) -> None:
    cache = world.cache()
    await cache.find("a", world.make)
    world.version += 1
    world.now += 0.9
    assert await cache.find("a", world.make) == (1, True)
    world.now += 0.1
    assert await cache.find("a", world.make) == (2, False)
    assert len(cache) == 1


async def test_a_change_of_this_replica_counts_at_once(world: World) -> None:
    cache = world.cache()
    await cache.find("a", world.make)
    cache.note_change()
    assert await cache.find("a", world.make) == (2, False)
    assert world.version_reads == 1


async def test_what_was_begun_before_a_change_is_not_kept(world: World) -> None:
    cache = world.cache()

    async def make_while_it_changes() -> int:
        cache.note_change()
        return await world.make()

    await cache.find("a", make_while_it_changes)
    assert await cache.find("a", world.make) == (2, False)


async def test_an_entry_ends_with_its_time(world: World) -> None:
    cache = world.cache()
    await cache.find("a", world.make)
    world.now += 301
    assert await cache.find("a", world.make) == (2, False)


async def test_no_more_is_kept_than_allowed(world: World) -> None:
    cache = world.cache(max_entries=3)
    for n in range(9):
        await cache.find(n, world.make)
    assert len(cache) == 3


async def test_what_is_not_to_be_kept_is_not(world: World) -> None:
    cache = world.cache()
    await cache.find("a", world.make, keep=lambda _: False)
    assert await cache.find("a", world.make) == (2, False)


async def test_a_failure_is_not_kept(world: World) -> None:
    cache = world.cache()

    async def fail() -> int:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await cache.find("a", fail)
    assert await cache.find("a", world.make) == (1, False)


async def test_without_entries_nothing_is_asked_or_counted(world: World) -> None:
    cache = world.cache(max_entries=0)
    assert [await cache.find("a", world.make) for _ in range(2)] == [(1, False), (2, False)]
    assert (world.version_reads, world.hits, world.misses) == (0, 0, 0)
