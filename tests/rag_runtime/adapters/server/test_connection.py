import pytest

from rag_runtime.adapters.server.connection import Address, Connection, Patience
from rag_runtime.errors import StoreRejected


@pytest.mark.parametrize(("attempt", "least", "most"), [(0, 0.5, 1.0), (1, 1.0, 2.0), (4, 8.0, 16.0)])
def test_pauses_double_and_differ(attempt: int, least: float, most: float) -> None:
    pauses = [Patience(backoff_base=1.0).pause(attempt, at_least=0.0) for _ in range(50)]
    assert all(least <= pause <= most for pause in pauses)
    assert len(set(pauses)) > 1


def test_the_server_may_ask_for_a_longer_pause() -> None:
    assert Patience(backoff_base=0.1).pause(0, at_least=7.0) == 7.0


def test_no_pause_of_our_own_is_longer_than_a_minute() -> None:
    assert Patience(backoff_base=60.0).pause(10, at_least=0.0) == 60.0


def test_a_url_that_is_none_is_refused_by_its_variable() -> None:
    with pytest.raises(StoreRejected, match="QDRANT_URL"):
        Connection(Address("ftp://qdrant"), Patience())
