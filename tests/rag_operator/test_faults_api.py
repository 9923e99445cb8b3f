"""The operator behind a proxy that misbehaves: whatever happens to its requests, a pipeline is made once and whole."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults import Fault, FaultProxy, Request, fault_proxy
from tests.rag_operator.served import MADE, Operator, Served, wait_until

pytestmark = pytest.mark.api
CHILDREN = len(MADE)
# Children, status and the event that tells of it.
WRITES = CHILDREN + 2


@pytest.fixture(scope="module")
def proxy(served: Served) -> Iterator[FaultProxy]:
    kubeconfig = served.folder / "through-the-proxy"
    shutil.copy(served.folder / "kubeconfig", kubeconfig)
    with fault_proxy(served.cluster, kubeconfig) as running:
        yield running


@pytest.fixture
def operator(served: Served, proxy: FaultProxy, tmp_path: Path) -> Iterator[Operator]:
    """Its log is of one test."""
    proxy.rule = lambda _: None
    with served.operator(f"operator-{tmp_path.name}", KUBECONFIG=str(served.folder / "through-the-proxy")) as running:
        wait_until(lambda: leads(running), seconds=40)
        yield running
        proxy.rule = lambda _: None


def leads(operator: Operator, times: int = 1) -> bool:
    return [line["event"] for line in operator.said()].count("leading") >= times


def identities(served: Served, name: str) -> dict[str, Any]:
    """Each child with its uid, and each key."""
    found = {child: body["metadata"]["uid"] for child, body in served.children(name).items()}
    keys = ("admin", "client", "qdrant") if f"Secret {name}-keys" in found else ()
    return found | {f"key {key}": served.key(name, key) for key in keys}


def wait_whole(served: Served, operator: Operator, name: str) -> None:
    """As long as it takes, with an operator that is started again whenever it ends, as a kubelet would."""

    def is_whole() -> bool:
        assert operator.process
        if operator.process.poll() is not None:
            operator.start()
        return len(served.children(name)) == CHILDREN and served.condition(name) == ("False", "Progressing")

    wait_until(is_whole, seconds=60, what=f"the whole of {name}")


def test_killed_after_each_of_its_writes_it_goes_on_where_it_was(
    served: Served, proxy: FaultProxy, operator: Operator
) -> None:
    """The server has done it, and the operator never hears of it."""
    for number in range(1, WRITES + 1):
        name = f"killed-{number}"
        killed = kill_after(proxy, operator, number)
        served.pipeline(name)
        wait_until(killed.is_set, what=f"write {number}")
        before = identities(served, name)
        operator.start()
        wait_until(partial(leads, operator, number + 1), seconds=40)
        wait_whole(served, operator, name)
        assert before.items() <= identities(served, name).items()


def kill_after(proxy: FaultProxy, operator: Operator, number: int) -> threading.Event:
    """Kill it with the write of that number from now on; set when it is dead."""
    writes, killed = itertools.count(1), threading.Event()

    def kill() -> None:
        operator.kill()
        killed.set()

    def rule(request: Request) -> Fault | None:
        if not request.is_write or request.is_lease or next(writes) != number:
            return None
        return Fault(cut=True, after=kill)

    proxy.rule = rule
    return killed


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=429, retry_after=1),
        Fault(status=409),
        Fault(status=410),
        Fault(delay_seconds=2),
        Fault(cut=True),
    ],
    ids=["500", "429", "409", "410", "slow", "cut"],
)
def test_every_other_request_failing_it_gets_there(
    served: Served, proxy: FaultProxy, operator: Operator, fault: Fault, request: pytest.FixtureRequest
) -> None:
    """The lease too, so that it may have to be won again; nothing is made twice."""
    name = f"half-{request.node.callspec.id}"
    turn = itertools.count()
    proxy.rule = lambda _: fault if next(turn) % 2 else None
    served.pipeline(name)
    time.sleep(5)
    first = identities(served, name)
    proxy.rule = lambda _: None
    wait_whole(served, operator, name)
    assert first.items() <= identities(served, name).items()
    assert [line for line in operator.said() if line["event"] == "failed"] == []


def test_deaf_watches_are_made_up_for_by_the_resync(served: Served, proxy: FaultProxy, operator: Operator) -> None:
    proxy.rule = lambda request: Fault(deaf=True) if request.is_watch else None
    operator.kill()
    operator.start()
    wait_until(lambda: leads(operator, 2), seconds=40)
    served.pipeline("unheard")
    wait_whole(served, operator, "unheard")
    served.kubectl("delete", "service", "unheard")
    wait_until(lambda: served.get("service", "unheard"))


def test_a_server_that_was_away_finds_the_operator_at_work_again(
    served: Served, proxy: FaultProxy, operator: Operator
) -> None:
    """Without its lease it ends itself, as another may lead; started again, it waits."""
    proxy.rule = lambda _: Fault(status=503)
    assert operator.process
    assert operator.process.wait(timeout=30) == 1
    operator.start()
    time.sleep(10)
    assert operator.process.poll() is None
    served.pipeline("patient")
    proxy.rule = lambda _: None
    wait_whole(served, operator, "patient")
