"""Deterministic stand-ins for the three ports, for tests of ours and of whoever builds on the runtime.

They hold everything in memory, need no model and no network, and fail when told to.
"""

from __future__ import annotations

import operator
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from rag_runtime import fusion
from rag_runtime.domain import (
    AllOf,
    AnyOf,
    Chunk,
    Document,
    DocumentId,
    EmbeddedChunk,
    Exists,
    Feedback,
    Filter,
    Hit,
    Job,
    NoneOf,
    OneOf,
    Piece,
    Scalar,
    SparseVector,
    StageRank,
    Tokens,
    Turn,
    Vectors,
    Within,
)
from rag_runtime.errors import RagError
from rag_runtime.facts import METADATA, moment
from rag_runtime.ports import Search
from rag_runtime.quoting import best_quote, to_citation

__all__ = ["HashEmbedder", "MemoryStore", "ScriptedGenerator", "WordTokenizer"]

WORD = re.compile(r"\w+")


class WordTokenizer:
    """A token is a word or a sign."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


class HashEmbedder:
    """Bags of hashed words: texts that share words are near, in any language."""

    model = "hash"
    late_size = None

    def __init__(self, dense_size: int = 64) -> None:
        self.dense_size = dense_size
        self.tokenizer = WordTokenizer()
        self.embedded: list[str] = []

    async def embed_documents(self, texts: Sequence[str]) -> list[Vectors]:
        self.embedded += texts
        return [self._vectors(text) for text in texts]

    async def embed_query(self, text: str) -> Vectors:
        return self._vectors(text)

    def _vectors(self, text: str) -> Vectors:
        counts = Counter(zlib.crc32(word.encode()) for word in WORD.findall(text.casefold()))
        dense = np.full(self.dense_size, 1e-6, dtype=np.float32)
        for word, count in counts.items():
            dense[word % self.dense_size] += count
        sparse = SparseVector(
            np.array(sorted(counts), dtype=np.uint32),
            np.array([counts[word] for word in sorted(counts)], dtype=np.float32),
        )
        return Vectors(dense / np.linalg.norm(dense), sparse)


@dataclass
class MemoryStore:
    """A ChunkStore in dictionaries. While `fault` is set, every call but `close` raises it."""

    fault: RagError | None = None
    documents: dict[str, Document] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    feedback: dict[str, Feedback] = field(default_factory=dict)
    staged: dict[str, EmbeddedChunk] = field(default_factory=dict)
    published: dict[str, EmbeddedChunk] = field(default_factory=dict)
    changes: int = 0

    async def open(self) -> None:
        self._answer()

    async def close(self) -> None:
        """Nothing is held."""

    async def ping(self) -> None:
        self._answer()

    async def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        self._answer()
        self.staged |= {embedded.chunk.id: embedded for embedded in chunks}

    async def publish(self, document_id: DocumentId, content_hash: str) -> int:
        self._answer()
        version = {
            id_: embedded
            for id_, embedded in (self.published | self.staged).items()
            if embedded.chunk.document_id == document_id and embedded.chunk.content_hash == content_hash
        }
        self._drop_chunks(document_id)
        self.published |= version
        self.changes += 1
        return len(version)

    async def search(self, search: Search) -> list[Hit]:
        self._answer()
        stages = {name: self._ranked(name, search) for name in ("dense", "sparse")}
        fused = fusion.reciprocal_rank([list(ranks) for ranks in stages.values()], k=search.rrf_k)
        hits = [
            Hit(
                self.published[id_].chunk,
                score,
                {name: ranks[id_] for name, ranks in stages.items() if id_ in ranks},
            )
            for id_, score in fused[: search.top_k]
            if score >= search.score_floor
        ]
        return hits if search.explain else [replace(hit, explain={}) for hit in hits]

    async def count(self) -> int:
        self._answer()
        return len(self.published)

    async def version(self) -> int:
        self._answer()
        return self.changes

    async def put_documents(self, documents: Sequence[Document]) -> None:
        self._answer()
        self.documents |= {document.id: document for document in documents}

    async def get_document(self, document_id: DocumentId) -> Document | None:
        self._answer()
        return self.documents.get(document_id)

    async def kept_version(self, document_id: DocumentId) -> str | None:
        self._answer()
        document = self.documents.get(document_id)
        return document.content_hash if document else None

    async def list_documents(self, *, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
        self._answer()
        ids = sorted(id_ for id_ in self.documents if after is None or id_ > after)
        page = [replace(self.documents[id_], passages=()) for id_ in ids[:limit]]
        return page, (ids[limit - 1] if len(ids) > limit else None)

    async def delete_document(self, document_id: DocumentId) -> bool:
        self._answer()
        self._drop_chunks(document_id)
        self.changes += 1
        return self.documents.pop(document_id, None) is not None

    async def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        self._answer()
        hashes = [e.chunk.content_hash for e in self.published.values() if e.chunk.document_id == document_id]
        return (hashes[0], len(hashes)) if hashes else None

    async def put_job(self, job: Job) -> None:
        self._answer()
        self.jobs[job.id] = job

    async def get_job(self, job_id: str) -> Job | None:
        self._answer()
        return self.jobs.get(job_id)

    async def claim_job(self, *, owner: str, now: float, lease_seconds: float) -> Job | None:
        self._answer()
        free = [job for job in self.jobs.values() if job.status in ("queued", "running") and job.lease_until <= now]
        if not free:
            return None
        oldest = min(free, key=lambda job: job.created_at)
        self.jobs[oldest.id] = replace(oldest, owner=owner, lease_until=now + lease_seconds)
        return self.jobs[oldest.id]

    async def expire_jobs(self, *, before: float, keep: int) -> None:
        self._answer()
        finished = [job for job in self.jobs.values() if job.status not in ("queued", "running")]
        by_age = sorted(finished, key=lambda job: job.created_at, reverse=True)
        for number, job in enumerate(by_age):
            if job.created_at < before or number >= keep:
                del self.jobs[job.id]

    async def put_feedback(self, feedback: Feedback) -> None:
        self._answer()
        self.feedback[feedback.id] = feedback

    async def list_feedback(self, *, limit: int, after: str | None = None) -> tuple[list[Feedback], str | None]:
        self._answer()
        ids = sorted(id_ for id_ in self.feedback if after is None or id_ > after)
        return [self.feedback[id_] for id_ in ids[:limit]], (ids[limit - 1] if len(ids) > limit else None)

    def _answer(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _drop_chunks(self, document_id: DocumentId) -> None:
        for points in (self.staged, self.published):
            for id_ in [id_ for id_, embedded in points.items() if embedded.chunk.document_id == document_id]:
                del points[id_]

    def _ranked(self, side: str, search: Search) -> dict[str, StageRank]:
        score = _dense_score if side == "dense" else _sparse_score
        asked = [
            (id_, e) for id_, e in self.published.items() if search.filter is None or passes(e.chunk, search.filter)
        ]
        scores = {id_: score(search.vectors, e.vectors) for id_, e in asked}
        order = sorted((id_ for id_ in scores if scores[id_] > 0), key=lambda id_: (-scores[id_], id_))
        return {id_: StageRank(n, scores[id_]) for n, id_ in enumerate(order[: search.candidates], start=1)}


def passes(chunk: Chunk, filter_: Filter) -> bool:
    """Whether a chunk is what a filter lets through, told from its document's own values."""
    match filter_:
        case OneOf(field, values):
            return any(
                (_is_yes(one), one) == (_is_yes(found), found) for found in _field(chunk, field) for one in values
            )
        case Within(field):
            return any(_lies_within(found, filter_) for found in _field(chunk, field))
        case Exists(field):
            return field.removeprefix(METADATA) in chunk.metadata
        case AllOf(filters):
            return all(passes(chunk, each) for each in filters)
        case AnyOf(filters):
            return any(passes(chunk, each) for each in filters)
        case NoneOf(filters):
            return not any(passes(chunk, each) for each in filters)


def _field(chunk: Chunk, field: str) -> Sequence[Scalar]:
    if not field.startswith(METADATA):
        return (str(getattr(chunk, field)),)
    value = chunk.metadata.get(field.removeprefix(METADATA), ())
    return (value,) if isinstance(value, str | int | float) else value


def _is_yes(value: Scalar) -> bool:
    """`True` is not 1 here, as it is to Python."""
    return isinstance(value, bool)


def _lies_within(value: Scalar, asked: Within) -> bool:
    dates = any(isinstance(bound, datetime) for bound in asked.bounds)
    found = moment(value) if isinstance(value, str) else value
    if found is None or isinstance(found, bool) or isinstance(found, datetime) != dates:
        return False
    tests = zip(asked.bounds, (operator.gt, operator.ge, operator.lt, operator.le), strict=True)
    return all(bound is None or test(found, bound) for bound, test in tests)


def _dense_score(one: Vectors, other: Vectors) -> float:
    return float(one.dense @ other.dense)


def _sparse_score(one: Vectors, other: Vectors) -> float:
    _, mine, theirs = np.intersect1d(one.sparse.indices, other.sparse.indices, return_indices=True)
    return float(one.sparse.values[mine] @ other.sparse.values[theirs])


@dataclass
class ScriptedGenerator:
    """Cites every hit, then says `text` word by word; costs 10 tokens and one a word. `asked` keeps the questions.

    While `fault` is set it raises that: before anything else, or after so many words as `fault_after` says.
    """

    text: str = "Scripted."
    fault: Exception | None = None
    fault_after: int = 0
    model: str = "scripted"
    asked: list[str] = field(default_factory=list)
    earlier: list[Turn] = field(default_factory=list)

    async def generate(
        self, question: str, hits: Sequence[Hit], *, max_words: int, earlier: Sequence[Turn] = ()
    ) -> AsyncIterator[Piece]:
        self.asked.append(question)
        self.earlier = list(earlier)
        if self.fault is not None and not self.fault_after:
            raise self.fault
        for hit in hits:
            yield to_citation(best_quote(question, hit))
        for number, word in enumerate(self.text.split()[:max_words], start=1):
            yield Tokens(10, number)
            yield word if number == 1 else f" {word}"
            if self.fault is not None and number == self.fault_after:
                raise self.fault

    async def check(self) -> None:
        if self.fault is not None:
            raise self.fault
