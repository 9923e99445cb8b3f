"""The elector on a real API server, with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import kopf
import pytest

from rag_operator import kube, names
from rag_operator.errors import LeaseLost
from rag_operator.kube import Client
from rag_operator.lease import Elector, Timing
from rag_operator.names import Ref
from tests.cluster import Cluster

pytestmark = pytest.mark.api


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def client(api_server: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))

    def login() -> kopf.ConnectionInfo:
        found = kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
        assert found
        return found

    async with kube.connect(login) as connected:
        yield connected


def elector(client: Client, name: str, identity: str, clock: Clock, *, deadline_seconds: float = 10) -> Elector:
    timing = Timing(deadline_seconds=deadline_seconds, retry_seconds=0.02)
    return Elector(client, Ref(names.LEASE, "default", name), identity, monotonic=clock, timing=timing)


async def holder(client: Client, name: str) -> str:
    body = await client.get(Ref(names.LEASE, "default", name))
    assert body
    return str(body["spec"]["holderIdentity"])


async def stands_by(candidate: Elector) -> bool:
    return not await acquires(candidate, seconds=0.5)


async def acquires(candidate: Elector, seconds: float = 30) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await candidate.acquire()
    except TimeoutError:
        return False
    return True


async def test_a_held_lease_is_waited_for_until_it_runs_out_by_the_waiters_own_clock(client: Client) -> None:
    clock = Clock()
    first, second = (elector(client, "run-out", identity, clock) for identity in ("a", "b"))
    assert await acquires(first)
    assert await stands_by(second)
    clock.now += 16
    assert await acquires(second)
    assert await holder(client, "run-out") == "b"


async def test_a_renewed_lease_does_not_run_out(client: Client) -> None:
    clock = Clock()
    first, second = (elector(client, "renewed", identity, clock) for identity in ("a", "b"))
    assert await acquires(first)
    assert await stands_by(second)
    for _ in range(3):
        clock.now += 10
        assert await acquires(first)
        assert await stands_by(second)


async def test_a_released_lease_is_taken_at_once(client: Client) -> None:
    clock = Clock()
    first, second = (elector(client, "released", identity, clock) for identity in ("a", "b"))
    assert await acquires(first)
    await first.release()
    assert await acquires(second)


async def test_a_process_that_starts_again_in_the_same_pod_goes_on_at_once(client: Client) -> None:
    clock = Clock()
    assert await acquires(elector(client, "again", "pod", clock))
    assert await acquires(elector(client, "again", "pod", clock))


async def test_of_many_at_once_one_wins(client: Client) -> None:
    clock = Clock()
    candidates = [elector(client, "race", f"c{number}", clock) for number in range(8)]
    won = await asyncio.gather(*(acquires(candidate, 5) for candidate in candidates))
    assert sum(won) == 1


async def test_a_holder_that_finds_another_one_has_lost(client: Client) -> None:
    clock = Clock()
    first, second = (elector(client, "stolen", identity, clock) for identity in ("a", "b"))
    assert await acquires(first)
    assert await stands_by(second)
    clock.now += 16
    assert await acquires(second)
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(30):
            await first.hold()


async def test_a_holder_that_cannot_renew_gives_up() -> None:
    """Nobody listens on this port."""
    async with kube.connect(lambda: kopf.ConnectionInfo(server="http://127.0.0.1:9")) as client:
        with pytest.raises(LeaseLost, match="could not be renewed"):
            async with asyncio.timeout(30):
                await elector(client, "cut-off", "a", Clock(), deadline_seconds=0.5).hold()


@pytest.mark.parametrize("seconds", [3, 15, 60])
def test_a_holder_gives_up_before_others_may_lead(seconds: int) -> None:
    timing = Timing.of(seconds)
    assert timing.deadline_seconds + timing.call_seconds < timing.lease_seconds


def test_the_proportions_are_those_of_the_defaults() -> None:
    assert Timing.of(15) == Timing()
