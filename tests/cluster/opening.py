"""open_cluster: the way in for tests, the demo and benchmarks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import local, locks
from tests.cluster.errors import ClusterError
from tests.cluster.handle import Cluster
from tests.cluster.keeping import State
from tests.cluster.progress import say

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?")


@contextmanager
def open_cluster(name: str = "test", *, audit: bool = False) -> Iterator[Cluster]:
    """The cluster of that name: the kept one where it runs, otherwise a new one that ends with the block.

    One user at a time. A new cluster also ends when this process is killed, for its keeper notices.
    """
    state = named(name)
    with locks.held(state.in_use, lambda: say(f"waiting for another process that uses the cluster {name}")):
        if state.is_kept():
            yield local.attach(state)
            return
        state.wait_for_end()
        state.clear()
        cluster, keeper = local.start(state, kept=False, audit=audit)
        try:
            yield cluster
        finally:
            keeper.end()


def named(name: str) -> State:
    if not NAME.fullmatch(name):
        raise ClusterError(f"not a cluster name: {name!r} (lower-case letters, digits and dashes, at most 30)")
    return State(name)
