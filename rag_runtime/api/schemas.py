"""Requests and responses as strict models: `true` is not 1, and an unknown field is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from rag_runtime.api.filters import AskedFilter
from rag_runtime.domain import Answer, Document, FileResult, Hit, Job, PlaceKind

MAX_TOP_K = 100
MAX_QUESTION_BYTES = 64 * 1024
MAX_DOCUMENTS = 1000
MAX_METADATA_ENTRIES = 64
MAX_METADATA_CHARACTERS = 4096
MAX_LISTED = 1000


def asked(text: str) -> str:
    """The text, where it can be a question."""
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text.encode()) > MAX_QUESTION_BYTES:
        raise ValueError(f"must be at most {MAX_QUESTION_BYTES} bytes")
    return text


def _holds_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold some text")
    return text


def _storable(value: object) -> object:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number must fit into 64 bits")
    return value


Question = Annotated[str, AfterValidator(asked)]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K)]
Word = Annotated[str, Field(max_length=MAX_METADATA_CHARACTERS)]
MetadataValue = Annotated[
    bool | int | FiniteFloat | Word | Annotated[list[Word], Field(max_length=MAX_METADATA_ENTRIES)],
    AfterValidator(_storable),
]
MetadataName = Annotated[str, Field(min_length=1, max_length=100)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class QueryRequest(Strict):
    question: Question
    top_k: TopK = 5
    style: Literal["concise", "detailed", "summary"] | None = None
    filter: AskedFilter | None = None
    stream: bool = False


class RetrieveRequest(Strict):
    query: Question
    top_k: TopK = 10
    filter: AskedFilter | None = None
    explain: bool = True


class TextDocument(Strict):
    """A text. Without an id, its id is made of its source."""

    id: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    text: Annotated[str, AfterValidator(_holds_text)]
    metadata: Annotated[dict[MetadataName, MetadataValue], Field(max_length=MAX_METADATA_ENTRIES)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.id is None and self.source is None:
            raise ValueError("needs an id or a source")
        return self


class DocumentsRequest(Strict):
    documents: Annotated[list[TextDocument], Field(min_length=1, max_length=MAX_DOCUMENTS)]


class CitationModel(BaseModel):
    """The quoted span, and the page or row it stands on."""

    document_id: str
    source: str
    page: int | None
    row: int | None
    text: str
    score: float


def citations(answer: Answer) -> list[CitationModel]:
    return [CitationModel(**asdict(citation)) for citation in answer.citations]


class UsageModel(BaseModel):
    """Tokens as the language model counts them; 0 where it was not asked."""

    tokens_in: int
    tokens_out: int


class QueryResponse(BaseModel):
    """`request_id` is what feedback names the answer by."""

    answer: str
    citations: list[CitationModel]
    route: str
    degraded: bool
    degraded_reason: str | None
    usage: UsageModel
    timings_ms: dict[str, float]
    request_id: str

    @classmethod
    def of(cls, answer: Answer, request_id: str) -> Self:
        return cls(
            answer=answer.text,
            citations=citations(answer),
            usage=UsageModel(tokens_in=answer.tokens.read, tokens_out=answer.tokens.written),
            request_id=request_id,
            route=answer.route,
            degraded=answer.degraded,
            degraded_reason=answer.degraded_reason,
            timings_ms=dict(answer.timings_ms),
        )


class StageModel(BaseModel):
    rank: int
    score: float


class HitModel(BaseModel):
    """A chunk. It begins on `page` or in `row`, and may reach to `page_last` or `row_last`."""

    id: str
    document_id: str
    source: str
    page: int | None
    row: int | None
    page_last: int | None
    row_last: int | None
    text: str
    score: float
    explain: dict[str, StageModel]

    @classmethod
    def of(cls, hit: Hit) -> Self:
        return cls.model_validate(hit_fields(hit))


def hit_fields(hit: Hit) -> dict[str, object]:
    """What a HitModel of it holds, without one: that costs more than all else that an answer's JSON takes."""
    chunk = hit.chunk
    first, last = (chunk.place_at(0), chunk.marks[-1].place) if chunk.marks else (None, None)
    is_page, is_row = chunk.place_kind is PlaceKind.PAGE, chunk.place_kind is PlaceKind.ROW
    return {
        "id": chunk.id,
        "document_id": chunk.document_id,
        "source": chunk.source,
        "page": first if is_page else None,
        "row": first if is_row else None,
        "page_last": last if is_page else None,
        "row_last": last if is_row else None,
        "text": chunk.text,
        "score": hit.score,
        "explain": {name: {"rank": stage.rank, "score": stage.score} for name, stage in hit.explain.items()},
    }


class RetrieveResponse(BaseModel):
    hits: list[HitModel]
    timings_ms: dict[str, float]


class Problem(BaseModel):
    """RFC 9457, with the request's id."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[dict[str, str]] | None = None


class FileModel(BaseModel):
    """`chunks` are those stored so far. What failed and is `retryable` needs not be sent again."""

    source: str
    document_id: str
    status: Literal["queued", "stored", "unchanged", "failed"]
    chunks: int
    error: Mapping[str, object] | None
    retryable: bool

    @classmethod
    def of(cls, file: FileResult) -> Self:
        return cls(**{name: getattr(file, name) for name in cls.model_fields})


class JobAccepted(BaseModel):
    job_id: str


class RetryAccepted(JobAccepted):
    """`queued` are the sources that are tried again, `send_again` those that failed in reading and need their bytes."""

    queued: list[str]
    send_again: list[str]


class JobModel(BaseModel):
    """`progress` is the share of the text that is dealt with, from 0 to 1."""

    id: str
    status: Literal["queued", "running", "succeeded", "partial", "failed"]
    progress: float
    created_at: float
    files: list[FileModel]
    warnings: list[str]

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(
            id=job.id,
            status=job.status,
            progress=round(job.progress, 4),
            created_at=job.created_at,
            files=[FileModel.of(file) for file in job.files],
            warnings=list(job.warnings),
        )


class DocumentModel(BaseModel):
    id: str
    source: str
    format: str
    content_hash: str
    metadata: Mapping[str, object]

    @classmethod
    def of(cls, document: Document) -> Self:
        return cls(
            id=document.id,
            source=document.source,
            format=document.format,
            content_hash=document.content_hash,
            metadata=dict(document.metadata),
        )


class DocumentDetail(DocumentModel):
    """`chunks` are those that a search finds now; none until its job has come to it."""

    chunks: int = 0


class DocumentsPage(BaseModel):
    """`next` is the `after` of the next page; null at the end."""

    documents: list[DocumentModel]
    next: str | None


class Deleted(BaseModel):
    deleted: int


class ConfigModel(BaseModel):
    version: str
    model: str | None
    points: int | None
    settings: dict[str, object]
    limits: dict[str, int]
