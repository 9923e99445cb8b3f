"""The nouns of the runtime, as frozen values. No I/O, no library types but numpy's array.

numpy is not imported at run time, so that the child process that only parses files starts fast and small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NewType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DocumentId = NewType("DocumentId", str)
Scalar = str | int | float | bool
Metadata = Mapping[str, "Scalar | Sequence[str]"]


class PlaceKind(StrEnum):
    """What a place in a document is counted in; both count from 1, and a row is a data row (the header is none)."""

    PAGE = "page"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document's text, with the page or row it stands on where its format has such."""

    text: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was understood: normalized text, before chunking.

    `content_hash` is the SHA-256 (hex) of what makes two versions differ: source, passages, places and metadata.
    `format` is the loader's name ("csv", "pdf", "text", ...); `place_kind` is None where places mean nothing.
    """

    id: DocumentId
    source: str
    format: str
    content_hash: str
    passages: tuple[Passage, ...]
    place_kind: PlaceKind | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document, and what its reader should know about how it was read."""

    document: Document
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """From character `offset` of a chunk's text on, the text stands on `place` (until the next mark)."""

    offset: int
    place: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, small enough for the embedding model. `ordinal` counts from 0 within the document."""

    id: str
    document_id: DocumentId
    source: str
    ordinal: int
    text: str
    content_hash: str
    place_kind: PlaceKind | None = None
    marks: tuple[Mark, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    format: str = ""

    def place_at(self, offset: int) -> int | None:
        """The page or row on which the character at `offset` stands."""
        places = [mark.place for mark in self.marks if mark.offset <= offset]
        return places[-1] if places else None


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Parallel arrays: uint32 indices and float32 values."""

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vectors:
    """What one text became: dense of shape (dimension,), sparse, and late interaction of shape (tokens, dimension)."""

    dense: NDArray[np.float32]
    sparse: SparseVector
    late: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    chunk: Chunk
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of the values. A field is "document_id", "source", "format" or "metadata.KEY"."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """A number of the field, or a date, lies within the bounds; they are all of one kind, and one at least is set."""

    field: str
    gt: float | datetime | None = None
    gte: float | datetime | None = None
    lt: float | datetime | None = None
    lte: float | datetime | None = None

    @property
    def bounds(self) -> tuple[float | datetime | None, ...]:
        return self.gt, self.gte, self.lt, self.lte


@dataclass(frozen=True, slots=True)
class Exists:
    """The document was sent with the metadata field."""

    field: str


@dataclass(frozen=True, slots=True)
class AllOf:
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    filters: tuple[Filter, ...]


Filter = OneOf | Within | Exists | AllOf | AnyOf | NoneOf


@dataclass(frozen=True, slots=True)
class StageRank:
    """Where a hit stood in one stage of the search: rank from 1, and that stage's own score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A found chunk. `score` is the fused one; `explain` has the stages ("dense", "sparse", "late") that found it."""

    chunk: Chunk
    score: float
    explain: Mapping[str, StageRank] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Citation:
    """The span of a chunk that an answer leans on, and the page or row which that span lies in."""

    document_id: DocumentId
    source: str
    text: str
    score: float
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a language model read and wrote for an answer so far; 0 where nothing counts them."""

    read: int = 0
    written: int = 0


# What a generator says, in order: words, the citation of the next number, what it cost up to here.
Piece = str | Citation | Tokens


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said earlier in a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    citations: tuple[Citation, ...]
    route: str
    degraded: bool = False
    degraded_reason: str | None = None
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    tokens: Tokens = Tokens()


@dataclass(frozen=True, slots=True)
class Found:
    """The first event of an answer: the hits it is made from."""

    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Cited:
    """From here on, the text may hold the mark `[number]`, which stands for this citation."""

    number: int
    citation: Citation


@dataclass(frozen=True, slots=True)
class Wrote:
    """The next words of an answer."""

    text: str


# An answer as it comes about; the whole of it is the last event.
AnswerEvent = Found | Cited | Wrote | Answer


Rating = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thought of an answer, which is named by its request's id. `caller` is the name of the user's key."""

    id: str
    request_id: str
    rating: Rating
    created_at: float
    comment: str = ""
    caller: str = ""


FileStatus = Literal["queued", "stored", "unchanged", "failed"]
JobStatus = Literal["queued", "running", "succeeded", "partial", "failed"]


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file of a request. `error` is a problem object (RFC 9457) when it failed.

    `characters` is the length of its text, `embedded` how many of them are in the store's chunks so far. A `retryable`
    failure had a passing cause, and the text is kept; any other needs the file to be sent again.
    """

    source: str
    document_id: DocumentId
    status: FileStatus
    chunks: int = 0
    error: Mapping[str, object] | None = None
    characters: int = 0
    embedded: int = 0
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One ingest request. `owner` and `lease_until` (Unix seconds) say which replica works on it, and until when.

    `tried_by` are the owners that began the first queued file and ended without a word: it may have ended them.
    """

    id: str
    created_at: float
    files: tuple[FileResult, ...]
    warnings: tuple[str, ...] = ()
    owner: str = ""
    lease_until: float = 0.0
    tried_by: tuple[str, ...] = ()

    @property
    def status(self) -> JobStatus:
        states = {file.status for file in self.files}
        if "queued" in states:
            return "queued" if states == {"queued"} and not self.owner else "running"
        if "failed" not in states:
            return "succeeded"
        return "failed" if states == {"failed"} else "partial"

    @property
    def progress(self) -> float:
        """The share of the text that is dealt with, from 0 to 1."""
        whole = sum(max(file.characters, 1) for file in self.files)
        done = sum(_dealt_with(file) for file in self.files)
        return 1.0 if done == whole else done / whole


def _dealt_with(file: FileResult) -> int:
    return min(file.embedded, file.characters) if file.status == "queued" else max(file.characters, 1)
