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

from rag_runtime.domain import Document, DocumentId, FileResult, Job, Metadata
from rag_runtime.errors import RequestError
from rag_runtime.jobs import JobRunner
from rag_runtime.ports import ChunkStore
from rag_runtime.problems import to_problem

SOURCE_IDS = UUID("f5c1b5d6-3f0f-5d5e-8f43-6f2b7a7a6a10")
MAX_SOURCE_CHARACTERS = 1024
MAX_ID_CHARACTERS = 512
# Parsing holds a whole file in memory.
PARSED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request. `read` may block: it is called off the event loop."""

    source: str
    read: Callable[[], bytes]
    media_type: str | None = None
    id: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document, and what its reader should know about how it was read."""

    document: Document
    warnings: tuple[str, ...] = ()


class Load(Protocol):
    """Bytes to a document. It may block, and raises DocumentUnreadable or UnsupportedType."""

    def __call__(
        self, data: bytes, *, source: str, media_type: str | None, document_id: DocumentId, metadata: Metadata
    ) -> Loaded: ...


class Ingester:
    """Takes requests in. `accepts` raises Overloaded when now is not the time (memory, for one)."""

    def __init__(
        self,
        store: ChunkStore,
        load: Load,
        runner: JobRunner,
        *,
        accepts: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._load = load
        self._runner = runner
        self._accepts = accepts
        self._clock = clock
        self._parsing = asyncio.Semaphore(PARSED_AT_ONCE)

    async def submit(self, uploads: Sequence[Upload]) -> Job:
        """Store the documents and their job, durably; the job's files are queued, unchanged or failed."""
        self._accepts()
        self._runner.check_room()
        named = [replace(upload, source=normalize_source(upload.source)) for upload in uploads]
        ids = [_document_id(upload) for upload in named]
        _refuse_twice(ids, named)
        files, warnings = [], []
        for document_id, upload in zip(ids, named, strict=True):
            result, notes = await self._take(document_id, upload)
            files.append(result)
            warnings += [f"{upload.source}: {note}" for note in notes]
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

    async def _take(self, document_id: DocumentId, upload: Upload) -> tuple[FileResult, Sequence[str]]:
        try:
            async with self._parsing:
                loaded = await asyncio.to_thread(self._parse, document_id, upload)
        except RequestError as unreadable:
            return FileResult(upload.source, document_id, "failed", error=to_problem(unreadable)), ()
        document = loaded.document
        # Kept even when it is unchanged: a job that is about to publish an older text looks here last.
        await self._store.put_documents([document])
        published = await self._store.published_version(document_id)
        if published and published[0] == document.content_hash:
            return FileResult(upload.source, document_id, "unchanged", published[1]), loaded.warnings
        return FileResult(upload.source, document_id, "queued"), loaded.warnings

    def _parse(self, document_id: DocumentId, upload: Upload) -> Loaded:
        return self._load(
            upload.read(),
            source=upload.source,
            media_type=upload.media_type,
            document_id=document_id,
            metadata=upload.metadata,
        )


def normalize_source(name: str) -> str:
    """A file's name as sent, in the one spelling that its id is made of. It is a label: nothing ever opens it."""
    printable = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) not in ("Cc", "Cs"))
    path = re.sub(r"/+", "/", printable.replace("\\", "/")).strip()
    source = re.sub(r"^(\./|/)+", "", path)
    if not source:
        raise RequestError("a file has no name: send one with it")
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise RequestError(f"a source of {len(source)} characters is too long: at most {MAX_SOURCE_CHARACTERS}")
    return source


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
