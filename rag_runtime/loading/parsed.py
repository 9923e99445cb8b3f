"""What a parser makes of a file's bytes, before it is a document; and the bounds that hold for all formats."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag_runtime.domain import Metadata, Passage, PlaceKind
from rag_runtime.errors import DocumentUnreadable

MAX_TEXT_CHARACTERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Parsed:
    passages: tuple[Passage, ...]
    place_kind: PlaceKind | None = None
    warnings: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)


class Gathering:
    """Passages as they are found, blank ones left out, until there is more text than one document may hold."""

    def __init__(self) -> None:
        self._passages: list[Passage] = []
        self._characters = 0

    def add(self, text: str, place: int | None = None) -> None:
        if not text or text.isspace():
            return
        self._characters += len(text)
        if self._characters > MAX_TEXT_CHARACTERS:
            raise DocumentUnreadable(f"it holds more than {MAX_TEXT_CHARACTERS:,} characters of text: split it")
        self._passages.append(Passage(text, place))

    def parsed(
        self,
        place_kind: PlaceKind | None = None,
        *,
        warnings: tuple[str, ...] = (),
        metadata: Metadata | None = None,
    ) -> Parsed:
        if not self._passages:
            raise DocumentUnreadable("no text was found in it")
        return Parsed(tuple(self._passages), place_kind, warnings, metadata or {})
