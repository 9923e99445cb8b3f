"""Which kind of cluster to use. The choice is pure; asking the machine is the caller's."""

from collections.abc import Callable, Mapping
from enum import Enum

KUBECONFIG = "RAGOPS_TEST_KUBECONFIG"


class Backend(Enum):
    EXISTING = "an existing cluster"
    KIND = "kind, in Docker"
    LOCAL = "a node on this machine"


def choose(environ: Mapping[str, str], docker_answers: Callable[[], bool]) -> Backend:
    """A cluster that was named comes first; then whatever asks least of the machine."""
    if environ.get(KUBECONFIG):
        return Backend.EXISTING
    return Backend.KIND if docker_answers() else Backend.LOCAL
