"""The ways in: `open_cluster` for tests and benchmarks, `keep_cluster` for the demo and the command line."""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.cluster import backends, builders, existing, kind, local, locks
from tests.cluster.backends import Backend
from tests.cluster.errors import ClusterError
from tests.cluster.handle import Cluster
from tests.cluster.keeping import Keeper, State
from tests.cluster.progress import say

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?")


@contextmanager
def open_cluster(name: str = "test", *, audit: bool = False) -> Iterator[Cluster]:
    """The cluster of that name: the kept one where it runs, otherwise a new one that ends with the block.

    One user at a time. A new cluster also ends when this process is killed, for its keeper notices.
    """
    state = named(name)
    with in_use(state):
        cluster, keeper = _attach_or_start(state, audit=audit)
        try:
            yield cluster
        finally:
            if keeper is not None:
                keeper.end()


def keep_cluster(name: str, *, audit: bool = False) -> Cluster:
    """The cluster of that name, which stays when this process ends, until `end_cluster`."""
    state = named(name)
    with in_use(state):
        cluster, keeper = _attach_or_start(state, audit=audit)
        if keeper is not None:
            keeper.keep()
        return cluster


def end_cluster(name: str) -> None:
    """End a kept cluster, whoever is using it, and clear what is left of one that was cut off."""
    state = named(name)
    if state.is_running() and not state.is_kept():
        raise ClusterError(f"the cluster {name} belongs to a running process and ends with it")
    state.end()


def attach(state: State) -> Cluster:
    """The kept cluster of that name, which must be running."""
    if not state.is_kept():
        raise ClusterError(f"no cluster {state.name} is up; start it: python -m tests.cluster up {state.name}")
    return kind.attach(state) if state.read()["backend"] == Backend.KIND.name else local.attach(state)


def named(name: str) -> State:
    if not NAME.fullmatch(name):
        raise ClusterError(f"not a cluster name: {name!r} (lower-case letters, digits and dashes, at most 30)")
    return State(name)


def in_use(state: State) -> AbstractContextManager[None]:
    return locks.held(state.in_use, lambda: say(f"waiting for another process that uses the cluster {state.name}"))


def _attach_or_start(state: State, *, audit: bool) -> tuple[Cluster, Keeper | None]:
    chosen = backends.choose(os.environ, builders.docker_answers)
    if chosen is Backend.EXISTING:
        return existing.attach(state.name), None
    if state.is_kept():
        return attach(state), None
    state.wait_for_end()
    state.clear()
    start = kind.start if chosen is Backend.KIND else local.start
    return start(state, audit=audit)
