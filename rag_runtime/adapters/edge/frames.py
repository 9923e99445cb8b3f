"""Length-prefixed frames between the serving process and the store's process. No knowledge of what they mean."""

from __future__ import annotations

import copyreg
import pickle
import struct
from dataclasses import fields
from operator import attrgetter
from typing import Any, NamedTuple

from rag_runtime import domain
from rag_runtime.errors import RagError
from rag_runtime.ports import Search

_LENGTH = struct.Struct("!I")


def _pickle_by_fields(kind: type) -> None:
    """As a call with its fields: a third of the time that a frozen dataclass with slots takes by its own way."""
    # All of them have two fields or more, so that this is a tuple.
    values = attrgetter(*(field.name for field in fields(kind)))
    copyreg.pickle(kind, lambda it: (kind, values(it)))


# What the most of is sent: a search and its hits, and chunks that are stored.
for _kind in (
    Search,
    domain.Vectors,
    domain.SparseVector,
    domain.Hit,
    domain.StageRank,
    domain.Chunk,
    domain.Mark,
    domain.EmbeddedChunk,
):
    _pickle_by_fields(_kind)


class Request(NamedTuple):
    id: int
    method: str
    arguments: tuple[Any, ...] = ()


class Reply(NamedTuple):
    id: int
    value: Any = None
    error: RagError | None = None


def pack(message: Request | Reply) -> bytes:
    body = pickle.dumps(tuple(message), protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Bytes as they come in; whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        self._buffer += data
        messages = []
        start = 0
        while (end := self._end_of_frame(start)) is not None:
            # The other end is our own process, over a socket pair that nothing else holds.
            messages.append(pickle.loads(memoryview(self._buffer)[start + _LENGTH.size : end]))  # noqa: S301
            start = end
        del self._buffer[:start]
        return messages

    def _end_of_frame(self, start: int) -> int | None:
        if len(self._buffer) - start < _LENGTH.size:
            return None
        end = start + _LENGTH.size + int(_LENGTH.unpack_from(self._buffer, start)[0])
        return end if len(self._buffer) >= end else None
