from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.adapters.edge.frames import Reply, Request, Unpacker, pack
from rag_runtime.errors import StoreUnavailable


@given(st.lists(st.tuples(st.integers(), st.binary(max_size=50)), max_size=8), st.integers(1, 9))
def test_messages_come_out_whole_however_the_bytes_are_cut(sent: list[tuple[int, bytes]], cut: int) -> None:
    stream = b"".join(pack(Reply(id_, value)) for id_, value in sent)
    unpacker = Unpacker()
    got = [m for start in range(0, len(stream), cut) for m in unpacker.feed(stream[start : start + cut])]
    assert [(id_, value) for id_, value, _ in got] == sent


def test_an_error_keeps_its_kind_and_message() -> None:
    ((_, _, error),) = Unpacker().feed(pack(Reply(1, error=StoreUnavailable("disk full"))))
    assert isinstance(error, StoreUnavailable)
    assert str(error) == "disk full"


def test_a_request_keeps_its_arguments() -> None:
    assert Request(*Unpacker().feed(pack(Request(7, "count", (1, "a"))))[0]) == Request(7, "count", (1, "a"))
