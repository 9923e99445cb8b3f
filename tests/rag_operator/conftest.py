"""A namespace for each module that needs one, with an operator that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.rag_operator.served import Operator, Served, open_namespace


@pytest.fixture(scope="module")
def served(api_server: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A namespace that no operator serves yet."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").removesuffix("_api").replace("_", "-")
    folder: Path = tmp_path_factory.mktemp(name)
    return open_namespace(api_server, f"team-{name}", folder)


@pytest.fixture(scope="module")
def operator(served: Served) -> Iterator[Operator]:
    with served.operator() as running:
        yield running
