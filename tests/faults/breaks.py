"""What can befall two replicas of the operator, their network and their API server; each returns what ends it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable

from tests.faults.pair import LEASE_SECONDS, Pair
from tests.faults.proxy import Fault, Request
from tests.faults.table import is_short
from tests.rag_operator.served import Operator, wait_until

Undo = Callable[[], None]
Break = Callable[[Pair], Undo]


def nothing() -> None:
    pass


def kill_the_leader(pair: Pair) -> Undo:
    pair.leader().kill()
    return nothing


def freeze_the_leader(pair: Pair) -> Undo:
    """Stopped past the end of its lease, it does not come back as a leader: it ends."""
    frozen = pair.leader()
    frozen.freeze()

    def undo() -> None:
        frozen.thaw()
        assert ends(frozen) == 1

    return undo


def cut_the_leader_off(pair: Pair) -> Undo:
    leader = pair.leader()
    pair.rule(lambda _: Fault(cut=True), leader.name)

    def undo() -> None:
        assert ends(leader) == 1
        pair.unruled()

    return undo


def restart_the_server(pair: Pair) -> Undo:
    os.kill(pair.pid("kube-apiserver"), signal.SIGKILL)
    return nothing


def take_the_server_away(pair: Pair) -> Undo:
    """Who led ends, as another may lead; started again, it waits."""
    leader = pair.leader()
    pair.rule(lambda _: Fault(status=503))

    def undo() -> None:
        assert ends(leader) == 1
        before = tries(leader)
        pair.keep_alive()
        wait_until(lambda: tries(leader) > before, what="a try")
        pair.unruled()

    return undo


def ends(operator: Operator) -> int:
    assert operator.process
    return operator.process.wait(timeout=60)


def tries(operator: Operator) -> int:
    return [line["event"] for line in operator.said()].count("lease not read")


def freeze(program: str) -> Break:
    def begin(pair: Pair) -> Undo:
        pid = pair.pid(program)
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)

    return begin


def every_other(*faults: Fault) -> Break:
    """Of the requests; where there are several, they take turns."""

    def begin(pair: Pair) -> Undo:
        turn = itertools.count()

        def rule(_: Request) -> Fault | None:
            number = next(turn)
            return faults[number // 2 % len(faults)] if number % 2 else None

        pair.rule(rule)
        return pair.unruled

    return begin


def deafen(pair: Pair) -> Undo:
    """Streams that are open fall silent, as do new ones: they are cut so that new ones must be opened."""
    pair.rule(lambda request: Fault(deaf=True) if request.is_watch else None)
    for operator in pair.operators.values():
        operator.kill()
    pair.keep_alive()
    return pair.unruled


# Longer than a replica takes to give up, and another one to lead.
PAST_THE_LEASE = LEASE_SECONDS + (2.0 if is_short else 5.0)
UNWELL = {
    "slow by 2 s": Fault(delay_seconds=2),
    "500": Fault(status=500),
    "429": Fault(status=429, retry_after=1),
    "410": Fault(status=410),
    "409": Fault(status=409),
    "answers cut off": Fault(cut=True),
}
ONE_BY_ONE: dict[str, tuple[Break, float]] = {
    **{name: (every_other(fault), 8) for name, fault in UNWELL.items()},
    "watches deaf": (deafen, 8),
}
# What is broken, and for how many seconds.
BREAKS: dict[str, tuple[Break, float]] = {
    "leader killed": (kill_the_leader, 0),
    "leader frozen": (freeze_the_leader, PAST_THE_LEASE),
    "leader cut off": (cut_the_leader_off, PAST_THE_LEASE),
    "API server killed": (restart_the_server, 0),
    "API server away": (take_the_server_away, 0 if is_short else 120),
    "etcd frozen": (freeze("etcd"), 4 if is_short else 6),
    "API server frozen": (freeze("kube-apiserver"), 4 if is_short else 6),
    **({"all sorts of answers": (every_other(*UNWELL.values()), 5)} if is_short else ONE_BY_ONE),
}
