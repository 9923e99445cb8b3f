"""What a generator says, put together for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from rag_runtime.domain import Citation, Piece, Tokens


@dataclass(frozen=True)
class Said:
    text: str
    citations: tuple[Citation, ...]
    tokens: Tokens


async def said(pieces: AsyncIterator[Piece]) -> Said:
    """The whole of an answer, once it is over."""
    heard = [piece async for piece in pieces]
    return Said(
        "".join(piece for piece in heard if isinstance(piece, str)),
        tuple(piece for piece in heard if isinstance(piece, Citation)),
        next((piece for piece in reversed(heard) if isinstance(piece, Tokens)), Tokens()),
    )
