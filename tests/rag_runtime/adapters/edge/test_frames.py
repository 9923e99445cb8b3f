import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.adapters.edge.frames import Reply, Request, Unpacker, pack
from rag_runtime.domain import Chunk, DocumentId, Hit, Mark, PlaceKind, SparseVector, StageRank, Vectors
from rag_runtime.errors import StoreUnavailable
from rag_runtime.ports import Search


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


def test_hits_and_searches_are_the_same_on_the_other_side() -> None:
    chunk = Chunk("1", DocumentId("d"), "s.csv", 3, "text", "hash", PlaceKind.ROW, (Mark(0, 4),), {"year": 2014})
    hit = Hit(chunk, 0.5, {"dense": StageRank(1, 0.9)})
    assert Unpacker().feed(pack(Reply(1, [hit]))) == [(1, [hit], None)]
    vectors = Vectors(np.ones(3, np.float32), SparseVector(np.array([7], np.uint32), np.ones(1, np.float32)))
    ((_, _, (search,)),) = Unpacker().feed(pack(Request(2, "search", (Search(vectors, 5, explain=True),))))
    assert (search.top_k, search.explain, search.vectors.late) == (5, True, None)
    assert search.vectors.sparse.indices.tolist() == [7]
