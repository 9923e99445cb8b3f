"""What the tests of the adapters share."""

from collections.abc import Iterator

import pytest

from tests.qdrant_server.running import Running, named_or_started


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with named_or_started(tmp_path_factory.mktemp("qdrant")) as running:
        yield running
