"""Which cluster is used, and what kind is asked to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import backends, kind
from tests.cluster.backends import Backend
from tests.cluster.errors import ClusterError
from tests.cluster.keeping import State
from tests.cluster.opening import named

BUILT = Path("/cache/bin")


def test_a_cluster_that_was_named_comes_before_docker() -> None:
    assert backends.choose({backends.KUBECONFIG: "/some/config"}, lambda: True) is Backend.EXISTING


def test_where_docker_answers_it_is_kind() -> None:
    assert backends.choose({}, lambda: True) is Backend.KIND


def test_otherwise_the_node_runs_here() -> None:
    assert backends.choose({backends.KUBECONFIG: ""}, lambda: False) is Backend.LOCAL


def test_kind_makes_loads_and_deletes_the_same_cluster() -> None:
    state = State("test")
    commands = (kind.create(BUILT, state), kind.load_archive(BUILT, state, Path("a.tar")), kind.delete(BUILT, state))
    for command in commands:
        assert command[0] == "/cache/bin/kind"
        assert command[command.index("--name") + 1] == "ragops-test"


def test_kind_writes_no_kubeconfig_but_the_cluster_s_own() -> None:
    state = State("test")
    for command in (kind.create(BUILT, state), kind.delete(BUILT, state)):
        assert command[command.index("--kubeconfig") + 1] == str(state.folder / "kubeconfig")


@pytest.mark.parametrize("name", ["", "Test", "../test", "-test", "a" * 31])
def test_names_that_would_not_do_everywhere_are_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="not a cluster name"):
        named(name)
