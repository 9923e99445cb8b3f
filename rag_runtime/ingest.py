"""Documents in: parse them and keep them with a job, before anything is acknowledged. `jobs` does the rest."""

from __future__ import annotations

import asyncio
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID, uuid4, uuid5

from rag_runtime.domain import Document, DocumentId, FileResult, Job, Loaded, Metadata
from rag_runtime.errors import RequestError
from rag_runtime.jobs import JobRunner
from rag_runtime.ports import ChunkStore
from rag_runtime.problems import to_problem
from rag_runtime.publishing import each

SOURCE_IDS = UUID("f5c1b5d6-3f0f-5d5e-8f43-6f2b7a7a6a10")
MAX_SOURCE_CHARACTERS = 1024
# Unicode's embeddings, overrides and isolates: "gnp.exe" can look like "exe.png" with them.
DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MAX_ID_CHARACTERS = 512
# Parsing holds a whole file in memory.
PARSED_AT_ONCE = 2
# Documents, and characters of them, that are written to the store together.
KEPT_AT_ONCE = 100
KEPT_CHARACTERS = 4_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request, or one text. `read` may block; `head` are its first bytes, enough to know its type."""

    source: str
    head: bytes
    read: Callable[[], bytes]
    media_type: str | None = None
    is_text: bool = False
    id: str | None = None
    metadata: Metadata = field(default_factory=dict)


class Loader(Protocol):
    """Bytes to documents. Both may block."""

    def check(self, upload: Upload) -> None:
        """Raise what a file's first bytes and its type show already: UnsupportedType, RequestError."""

    def load(self, upload: Upload, document_id: DocumentId) -> Loaded:
        """Raise DocumentUnreadable, or another RequestError that is this file's own."""


class Ingester:
    """Takes requests in. `accepts` raises Overloaded when now is not the time (memory, for one)."""

    def __init__(
        self,
        store: ChunkStore,
        loader: Loader,
        runner: JobRunner,
        *,
        accepts: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._loader = loader
        self._runner = runner
        self._accepts = accepts
        self._clock = clock
        self._parsing = asyncio.Semaphore(PARSED_AT_ONCE)

    def check_room(self) -> None:
        """Raise Overloaded when nothing more can be taken now."""
        self._accepts()
        self._runner.check_room()

    async def submit(self, uploads: Sequence[Upload]) -> Job:
        """Store the documents and their job, durably; the job's files are queued, unchanged or failed."""
        self.check_room()
        named = [replace(upload, source=normalize_source(upload.source)) for upload in uploads]
        ids = [_document_id(upload) for upload in named]
        _refuse_twice(ids, named)
        for upload in named:
            self._loader.check(upload)
        files, warnings = await self._take_all(ids, named)
        job = Job(uuid4().hex, self._clock(), tuple(files), tuple(warnings))
        await self._store.put_job(job)
        if job.status == "queued":
            self._runner.wake(job.id)
        return job

    async def delete_all(self) -> int:
        """Remove every document; how many there were."""
        deleted = 0
        while True:
            page, _ = await self._store.list_documents(limit=100)
            if not page:
                return deleted
            for document in page:
                deleted += await self._store.delete_document(document.id)

    async def _take_all(
        self, ids: Sequence[DocumentId], uploads: Sequence[Upload]
    ) -> tuple[list[FileResult], list[str]]:
        """Read one after the other; keep so many together that the store has few writes, and memory few texts."""
        results: dict[DocumentId, FileResult] = {}
        warnings: list[str] = []
        read: list[Document] = []
        for document_id, upload in zip(ids, uploads, strict=True):
            try:
                async with self._parsing:
                    loaded = await asyncio.to_thread(self._loader.load, upload, document_id)
            except RequestError as unreadable:
                results[document_id] = FileResult(upload.source, document_id, "failed", error=to_problem(unreadable))
                continue
            read.append(loaded.document)
            warnings += [f"{upload.source}: {note}" for note in loaded.warnings]
            if len(read) == KEPT_AT_ONCE or sum(map(_characters, read)) > KEPT_CHARACTERS:
                results |= await self._keep(read)
                read = []
        results |= await self._keep(read)
        return [results[document_id] for document_id in ids], warnings

    async def _keep(self, documents: Sequence[Document]) -> dict[DocumentId, FileResult]:
        """Kept even when unchanged: a job that is about to publish an older text looks here last."""
        await self._store.put_documents(documents)
        published = await each([document.id for document in documents], self._store.published_version)
        return {document.id: _result(document, published[document.id]) for document in documents}


def _result(document: Document, published: tuple[str, int] | None) -> FileResult:
    size = _characters(document)
    if published and published[0] == document.content_hash:
        return FileResult(document.source, document.id, "unchanged", published[1], characters=size)
    return FileResult(document.source, document.id, "queued", characters=size)


def _characters(document: Document) -> int:
    return sum(len(passage.text) for passage in document.passages)


def normalize_source(name: str) -> str:
    """A file's name as sent, in the one spelling that its id is made of. It is a label: nothing ever opens it."""
    printable = "".join(c for c in unicodedata.normalize("NFC", name) if not _is_misleading(c))
    path = re.sub(r"/+", "/", printable.replace("\\", "/")).strip()
    source = re.sub(r"^(\./|/)+", "", path)
    if not source:
        raise RequestError("a file has no name: send one with it")
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise RequestError(f"a source of {len(source)} characters is too long: at most {MAX_SOURCE_CHARACTERS}")
    return source


def _is_misleading(character: str) -> bool:
    """Whether a reader would not see it, or see the name's other letters in another order."""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in DIRECTION_MARKS


def source_id(source: str) -> DocumentId:
    """The id of a document that came without one."""
    return DocumentId(str(uuid5(SOURCE_IDS, source)))


def _document_id(upload: Upload) -> DocumentId:
    if upload.id is None:
        return source_id(upload.source)
    if not upload.id.strip() or len(upload.id) > MAX_ID_CHARACTERS or not upload.id.isprintable():
        raise RequestError(f"the id of {upload.source} must be 1 to {MAX_ID_CHARACTERS} printable characters")
    return DocumentId(upload.id)


def _refuse_twice(ids: Sequence[DocumentId], uploads: Sequence[Upload]) -> None:
    twice = [document_id for document_id, count in Counter(ids).items() if count > 1]
    if twice:
        sources = ", ".join(dict.fromkeys(u.source for d, u in zip(ids, uploads, strict=True) if d == twice[0]))
        raise RequestError(f"the document {twice[0]} ({sources}) stands more than once in the request: send it once")
