"""Two replicas of the operator, and everything that can befall them, their network and their API server.

In each run a pipeline is applied while something is broken. How long after its end is all as declared? And whatever
happened: one writer at a time, nothing twice, nothing left over, no secret told.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.faults import Fault, Request, audit
from tests.faults.breaks import BREAKS, deafen
from tests.faults.pair import NAMES, Pair, open_pair
from tests.faults.table import RUNS, Table, is_short, repeated
from tests.rag_operator.served import MADE, Operator

pytestmark = [pytest.mark.faults, pytest.mark.api]
TABLE = Table("operator-faults", ("fault", "run", "broken for s", "whole after s"))
SUMMARY = Table("operator-faults-summary", ("fault", "runs", "median s", "most s"))
TAKEN: defaultdict[str, list[float]] = defaultdict(list)
# Two Secrets, the other children, the status, and the event that tells of it.
LAST = len(MADE) + 2
WRITES = (1, 2, LAST // 2, LAST - 1, LAST) if is_short else tuple(range(1, LAST + 1))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with open_pair(tmp_path_factory.mktemp("troubled")) as running:
        yield running


@repeated
@pytest.mark.parametrize("fault", BREAKS)
def test_a_pipeline_applied_in_trouble_is_whole_soon_after(pair: Pair, fault: str, run: int) -> None:
    begin, seconds = BREAKS[fault]
    name = f"r{run}-{fault.lower().replace(' ', '-')}"
    pair.leader()
    undo = begin(pair)
    began = time.monotonic()
    try:
        pair.apply(name, until=began + seconds)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        undo()
    ended = time.monotonic()
    pair.apply(name, until=ended + 60)
    pair.wait_whole(name)
    TAKEN[fault].append(time.monotonic() - ended)
    TABLE.add(fault, run, f"{ended - began:.1f}", f"{TAKEN[fault][-1]:.1f}")


@repeated
@pytest.mark.parametrize("write", WRITES)
def test_killed_after_a_write_it_goes_on_where_it_was(pair: Pair, write: int, run: int) -> None:
    """The server has done it, and the operator never hears of it."""
    name = f"k{run}-after-{write}"
    leader = pair.leader()
    killed = kill_after(pair, leader, write)
    pair.apply(name, until=time.monotonic() + 60)
    assert killed.wait(60)
    pair.unruled()
    before = pair.identities(name)
    pair.wait_whole(name)
    assert before.items() <= pair.identities(name).items()


def kill_after(pair: Pair, leader: Operator, write: int) -> threading.Event:
    """Kill it with the write of that number from now on; set when it is dead."""
    writes, killed = itertools.count(1), threading.Event()

    def kill() -> None:
        leader.kill()
        killed.set()

    def rule(request: Request) -> Fault | None:
        if not request.is_write or request.is_lease or next(writes) != write:
            return None
        return Fault(cut=True, after=kill)

    pair.rule(rule, leader.name)
    return killed


def test_a_process_that_hears_nothing_more_ends_itself(pair: Pair) -> None:
    """What it did not hear of was made all the same."""
    undo = deafen(pair)
    try:
        leader = pair.leader()
        process = leader.process
        pair.apply("unheard", until=time.monotonic() + 60)
        pair.wait_whole("unheard")
        assert process
        assert process.wait(timeout=90) == 1
        assert any("no watch brought" in str(line) for line in leader.said())
    finally:
        undo()
        pair.keep_alive()


def test_in_all_that_one_wrote_at_a_time_and_nothing_was_made_twice(pair: Pair) -> None:
    log = pair.served.cluster.audit_log
    assert log
    writes = audit.read_writes(log)
    lease = pair.served.get("lease", "rag-operator")
    assert lease
    assert {write.replica for write in writes} == set(NAMES)
    assert len(audit.turns(writes)) <= lease["spec"]["leaseTransitions"] + 1
    assert audit.made_twice(writes) == []


def test_in_all_that_nothing_is_left_over_and_no_secret_was_told(pair: Pair) -> None:
    served = pair.served
    pipelines = {body["metadata"]["name"]: body for body in served.everything("ragpipelines")}
    children = served.everything("configmaps,services,deployments.apps,statefulsets.apps")
    owners = {owner["uid"] for body in children for owner in body["metadata"].get("ownerReferences", [])}
    assert owners == {body["metadata"]["uid"] for body in pipelines.values()}
    secrets = [served.key(name, key) for name in pipelines for key in ("admin", "client", "operator", "qdrant")]
    assert len(secrets) == len(set(secrets))
    told = served.kubectl("get", "events,ragpipelines,configmaps", "-o", "json")
    told += "".join(operator.log.read_text() for operator in pair.operators.values())
    assert not [secret for secret in secrets if secret in told]
    assert [line for operator in pair.operators.values() for line in operator.said() if line["event"] == "failed"] == []


def test_the_table_is_summed_up() -> None:
    for fault, taken in TAKEN.items():
        SUMMARY.add(fault, len(taken), f"{statistics.median(taken):.1f}", f"{max(taken):.1f}")
    assert all(len(taken) <= RUNS for taken in TAKEN.values())
