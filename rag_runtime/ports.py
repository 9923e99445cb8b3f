"""What the pipelines need from the outside, as small protocols. The adapters implement them; `testing` ships fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Feedback, Filter, Hit, Job, Piece, Turn, Vectors


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One embedding and chunking configuration: what an index is made of, and what it refuses to be mixed with.

    `name` is the alias (COLLECTION_NAME); the index itself is `<name>__<8 hex of settings>`.
    `settings` are the strings that decide whether two indexes may share points (models, language, chunking).
    With `sparse_idf` the store weighs each word by how rare it is, as BM25 needs and learned weights do not.
    """

    name: str
    settings: tuple[tuple[str, str], ...]
    dense_size: int
    late_size: int | None = None
    sparse_idf: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """A hybrid search: `candidates` from each side that pass the filter, fused by reciprocal rank with `rrf_k`.

    With late-interaction vectors the fused candidates are ranked by those. The floor is the fused score's either way.
    """

    vectors: Vectors
    top_k: int
    candidates: int = 100
    rrf_k: int = 60
    score_floor: float = 0.0
    explain: bool = False
    filter: Filter | None = None


class Tokenizer(Protocol):
    """The embedding model's own tokens, which limit a chunk."""

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        """The character range of each token, special tokens left out, in order."""


class Embedder(Protocol):
    """Texts to vectors. A query and a document are embedded differently by most models, so they are two methods."""

    @property
    def model(self) -> str: ...

    @property
    def dense_size(self) -> int: ...

    @property
    def late_size(self) -> int | None: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]: ...

    async def embed_query(self, text: str) -> Vectors: ...


class ChunkStore(Protocol):
    """The vector store: one index of chunks, beside it the documents and the jobs.

    Every write is durable when it returns. Errors are `StoreUnavailable` (try again later), `IndexMismatch` (this
    index belongs to another configuration or owner) and `StoreRejected` (the store refused the request itself).
    """

    async def open(self) -> None:
        """Connect, and create the index and its payload indexes where they are missing."""

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Return when the store answers; raise StoreUnavailable when it does not."""

    async def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        """Write chunks that no search sees yet. Writing the same chunk twice changes nothing."""

    async def publish(self, document_id: DocumentId, content_hash: str) -> int:
        """Make the staged chunks of this version the document's only ones; how many there are."""

    async def search(self, search: Search) -> list[Hit]: ...

    async def count(self) -> int:
        """Published chunks in the index."""

    async def version(self) -> int:
        """A number that every change of what a search could find raises, whichever replica made it."""

    async def put_documents(self, documents: Sequence[Document]) -> None: ...

    async def get_document(self, document_id: DocumentId) -> Document | None: ...

    async def kept_version(self, document_id: DocumentId) -> str | None:
        """Content hash of the document as it was put last, without its text; None when it is not there."""

    async def list_documents(self, *, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
        """A page in a stable order, and where the next one begins (None at the end). Passages are left out."""

    async def delete_document(self, document_id: DocumentId) -> bool:
        """Remove a document and all its chunks; whether it was there."""

    async def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        """Content hash and number of the document's published chunks.

        None when it has none, and when a replacement was cut short, so that chunks of two versions are published.
        """

    async def put_job(self, job: Job) -> None: ...

    async def get_job(self, job_id: str) -> Job | None: ...

    async def claim_job(self, *, owner: str, now: float, lease_seconds: float) -> Job | None:
        """An unfinished job whose lease ran out, now leased to `owner`; None when there is none."""

    async def expire_jobs(self, *, before: float, keep: int) -> None:
        """Forget finished jobs that were created before that, and the oldest where there are more than `keep`."""

    async def put_feedback(self, feedback: Feedback) -> None:
        """Keep it, in place of what was kept under its id."""

    async def list_feedback(self, *, limit: int, after: str | None = None) -> tuple[list[Feedback], str | None]:
        """A page in a stable order, and where the next one begins (None at the end)."""


class Generator(Protocol):
    """Hits to an answer that cites them."""

    @property
    def model(self) -> str: ...

    def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        """The answer as it is written. A citation comes before the words that hold its mark; the first one is [1].

        Raise GeneratorUnavailable, with a reason fit for a label, when no answer can be had, or no more of it.
        Leaving the iteration ends the call.
        """

    async def check(self) -> None:
        """A free call that shows whether the provider can be reached; never a paid answer."""
