"""Any port with its calls timed: the same port again, so that whoever uses it need not know."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Feedback, Hit, Job, Piece, Turn, Vectors
from rag_runtime.ports import ChunkStore, Embedder, Generator, Search, Tokenizer

# Called with a stage's name and its seconds, whether the stage succeeded or not.
Observe = Callable[[str, float], None]


@contextmanager
def _timed(observe: Observe, stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        observe(stage, time.perf_counter() - begin)


class MeasuredEmbedder:
    def __init__(self, inner: Embedder, observe: Observe) -> None:
        self._inner = inner
        self._observe = observe

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def dense_size(self) -> int:
        return self._inner.dense_size

    @property
    def late_size(self) -> int | None:
        return self._inner.late_size

    @property
    def tokenizer(self) -> Tokenizer:
        return self._inner.tokenizer

    async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
        with _timed(self._observe, "embed_documents"):
            return await self._inner.embed_documents(texts)

    async def embed_query(self, text: str) -> Vectors:
        with _timed(self._observe, "embed"):
            return await self._inner.embed_query(text)


class MeasuredStore:
    """`on_change` is called after each change of what a search could find; one that failed may have happened."""

    def __init__(self, inner: ChunkStore, observe: Observe, on_change: Callable[[], None] = lambda: None) -> None:
        self._inner = inner
        self._observe = observe
        self.on_change = on_change

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.on_change()

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def ping(self) -> None:
        await self._inner.ping()

    async def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        with _timed(self._observe, "stage"):
            await self._inner.stage(chunks)

    async def publish(self, document_id: DocumentId, content_hash: str) -> int:
        with _timed(self._observe, "publish"), self._changing():
            return await self._inner.publish(document_id, content_hash)

    async def search(self, search: Search) -> list[Hit]:
        with _timed(self._observe, "search"):
            return await self._inner.search(search)

    async def count(self) -> int:
        return await self._inner.count()

    async def version(self) -> int:
        return await self._inner.version()

    async def put_documents(self, documents: Sequence[Document]) -> None:
        with _timed(self._observe, "put_documents"):
            await self._inner.put_documents(documents)

    async def get_document(self, document_id: DocumentId) -> Document | None:
        return await self._inner.get_document(document_id)

    async def kept_version(self, document_id: DocumentId) -> str | None:
        return await self._inner.kept_version(document_id)

    async def list_documents(self, *, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
        return await self._inner.list_documents(limit=limit, after=after)

    async def delete_document(self, document_id: DocumentId) -> bool:
        with _timed(self._observe, "delete"), self._changing():
            return await self._inner.delete_document(document_id)

    async def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        return await self._inner.published_version(document_id)

    async def put_job(self, job: Job) -> None:
        await self._inner.put_job(job)

    async def get_job(self, job_id: str) -> Job | None:
        return await self._inner.get_job(job_id)

    async def claim_job(self, *, owner: str, now: float, lease_seconds: float) -> Job | None:
        return await self._inner.claim_job(owner=owner, now=now, lease_seconds=lease_seconds)

    async def expire_jobs(self, *, before: float, keep: int) -> None:
        await self._inner.expire_jobs(before=before, keep=keep)

    async def put_feedback(self, feedback: Feedback) -> None:
        await self._inner.put_feedback(feedback)

    async def list_feedback(self, *, limit: int, after: str | None = None) -> tuple[list[Feedback], str | None]:
        return await self._inner.list_feedback(limit=limit, after=after)


class MeasuredGenerator:
    def __init__(self, inner: Generator, observe: Observe) -> None:
        self._inner = inner
        self._observe = observe

    @property
    def model(self) -> str:
        return self._inner.model

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        pieces = self._inner.generate(question, hits, max_words=max_words, earlier=earlier)
        with _timed(self._observe, "generate"):
            async for piece in pieces:
                yield piece

    async def check(self) -> None:
        await self._inner.check()
