"""Documents, jobs, feedback and the version on a server, in three collections of points without vectors.

Qdrant has no transaction and no compare-and-swap. What stands in for them:
- A long text is cut into points under a key of its own; the head, written last, names the key and makes it visible.
- The version is raised by a write whose filter asks for the old value, which the server checks when it applies the
  write; whoever then reads a higher one than before, its own or another replica's, knows that it has been raised.
- A job is leased in the same way: the filter asks for a lease that ran out, and the job is read back to see who won.
  Should two replicas work on one job after all, chunk ids are the same for both, so nothing is stored twice.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Iterator, Sequence

from qdrant_client import models

from rag_runtime.adapters import payload
from rag_runtime.adapters.payload import Payload
from rag_runtime.adapters.server.connection import Connection
from rag_runtime.adapters.server.faults import require_completed
from rag_runtime.adapters.server.schema import BOOL, FLOAT, KEYWORD, field_is, of_document
from rag_runtime.domain import Document, DocumentId, Feedback, Job
from rag_runtime.errors import RequestError, StoreUnavailable

DOCUMENT_FIELDS = {"kind": KEYWORD, "document_id": KEYWORD, "written": KEYWORD}
JOB_FIELDS = {"open": BOOL, "owner": KEYWORD, "lease_until": FLOAT, "created_at": FLOAT}

_SPACE = uuid.UUID("6a3c3e52-8f0b-5c1e-9a53-2d6b9f0e7c11")
# Qdrant refuses requests over 32 MB; a character is at most 4 bytes, or 6 when JSON has to escape it.
_PART_CHARACTERS = 500_000
_REQUEST_CHARACTERS = 2_000_000
_REQUEST_POINTS = 100
_ATTEMPTS = 3
_CLAIMED_AT_ONCE = 8


class Records:
    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._client = connection.client
        self.documents = f"{name}_documents"
        self.jobs = f"{name}_jobs"
        self.feedback = f"{name}_feedback"
        # What is filtered by in each.
        self.collections = {self.documents: DOCUMENT_FIELDS, self.jobs: JOB_FIELDS, self.feedback: {}}
        self._raising = asyncio.Lock()
        self._raises_wanted = self._raises_done = 0

    async def start_version(self) -> None:
        """Begin to count versions, where nobody has."""
        never = models.Filter(must=[models.FieldCondition(key="version", range=models.Range(lt=0))])
        start = models.PointStruct(id=_VERSION, vector={}, payload={"kind": "version", "version": 0})
        await self._upsert(self.documents, [start], unless=never)

    async def version(self) -> int:
        found = await self._retrieve(self.documents, [_VERSION])
        return int(found[_VERSION]["version"]) if found else 0

    async def raise_version(self) -> None:
        """Those that wait while it is being raised share the next time, which is after the changes of all of them."""
        self._raises_wanted += 1
        mine = self._raises_wanted
        async with self._raising:
            if self._raises_done >= mine:
                return
            wanted = self._raises_wanted
            await self._raise_version()
            self._raises_done = wanted

    async def _raise_version(self) -> None:
        before = await self.version()
        unchanged = models.Filter(must=[models.HasIdCondition(has_id=[_VERSION]), field_is("version", before)])
        for _ in range(_ATTEMPTS):
            await self._set(self.documents, {"version": before + 1}, unchanged)
            if await self.version() > before:
                return
        raise StoreUnavailable("The version of the index could not be raised: its record is gone or cannot be written")

    async def put_documents(self, documents: Sequence[Document]) -> None:
        heads, pieces = [], []
        for document in documents:
            head, parts = _points(document)
            heads.append(head)
            pieces += parts
        before = await self._retrieve(self.documents, [str(head.id) for head in heads], ["written", "parts"])
        for batch in _batches([*pieces, *heads]):
            await self._upsert(self.documents, batch)
        superseded = [head["written"] for head in before.values() if head["parts"]]
        if superseded:
            parts_of = models.FieldCondition(key="written", match=models.MatchAny(any=superseded))
            await self._delete(models.Filter(must=[field_is("kind", "part"), parts_of]), self.documents)

    async def get_document(self, document_id: DocumentId) -> Document | None:
        """A document that is replaced while it is read is read again."""
        for _ in range(_ATTEMPTS):
            head_id = _document_point(document_id)
            head = (await self._retrieve(self.documents, [head_id])).get(head_id)
            if head is None:
                return None
            text = await self._text(head)
            if text is not None:
                return payload.to_document(head, payload.to_passages(text))
        raise StoreUnavailable(f"Document {document_id!r} lacks a part of its text; store it again")

    async def kept_version(self, document_id: DocumentId) -> str | None:
        head_id = _document_point(document_id)
        head = (await self._retrieve(self.documents, [head_id], ["content_hash"])).get(head_id)
        return str(head["content_hash"]) if head else None

    async def list_documents(self, limit: int, after: str | None) -> tuple[list[Document], str | None]:
        if after is not None and not _is_point(after):
            raise RequestError(f"after={after!r} is not where a page of documents ended; begin without it")
        points, following = await self._connection.read(
            "list documents",
            lambda: self._client.scroll(
                self.documents,
                scroll_filter=models.Filter(must=[field_is("kind", "document")]),
                limit=limit,
                offset=after,
                with_payload=models.PayloadSelectorExclude(exclude=["text"]),
            ),
        )
        found = [payload.to_document(point.payload or {}) for point in points]
        return found, str(following) if following is not None else None

    async def delete_document(self, document_id: DocumentId) -> bool:
        head_id = _document_point(document_id)
        existed = bool(await self._retrieve(self.documents, [head_id], ["kind"]))
        await self._delete(of_document(document_id), self.documents)
        return existed

    async def put_job(self, job: Job) -> None:
        point = models.PointStruct(id=_job_point(job.id), vector={}, payload=payload.from_job(job))
        await self._upsert(self.jobs, [point])

    async def get_job(self, job_id: str) -> Job | None:
        found = await self._retrieve(self.jobs, [_job_point(job_id)])
        return payload.to_job(found[_job_point(job_id)]) if found else None

    async def claim_job(self, owner: str, now: float, lease_seconds: float) -> Job | None:
        for job_id in await self._free_jobs(now):
            # A server may keep a time with its last bit changed, so it cannot tell who won.
            claim = uuid.uuid4().hex
            lease = {"owner": owner, "lease_until": now + lease_seconds, "claim": claim}
            still_free = models.Filter(must=[models.HasIdCondition(has_id=[_job_point(job_id)]), *_free(now)])
            await self._set(self.jobs, lease, still_free)
            found = (await self._retrieve(self.jobs, [_job_point(job_id)])).get(_job_point(job_id))
            if found and found.get("claim") == claim:
                return payload.to_job(found)
        return None

    async def expire_jobs(self, before: float, keep: int) -> None:
        old = models.FieldCondition(key="created_at", range=models.Range(lt=before))
        await self._delete(models.Filter(must=[_FINISHED, old]), self.jobs)
        finished = models.Filter(must=[_FINISHED])
        counted = await self._connection.read(
            "count jobs", lambda: self._client.count(self.jobs, count_filter=finished, exact=True)
        )
        while (surplus := min(counted.count - keep, _REQUEST_POINTS)) > 0:
            oldest, _ = await self._connection.read(
                "look for old jobs",
                lambda limit=surplus: self._client.scroll(  # type: ignore[misc]
                    self.jobs, finished, order_by=models.OrderBy(key="created_at"), limit=limit, with_payload=False
                ),
            )
            if not oldest:
                return
            ids = [point.id for point in oldest]
            await self._delete(models.Filter(must=[models.HasIdCondition(has_id=ids), _FINISHED]), self.jobs)
            counted.count -= len(ids)

    async def put_feedback(self, feedback: Feedback) -> None:
        point = models.PointStruct(id=feedback.id, vector={}, payload=payload.from_feedback(feedback))
        await self._upsert(self.feedback, [point])

    async def list_feedback(self, limit: int, after: str | None) -> tuple[list[Feedback], str | None]:
        if after is not None and not _is_point(after):
            raise RequestError(f"after={after!r} is not where a page of feedback ended; begin without it")
        points, following = await self._connection.read(
            "list feedback",
            lambda: self._client.scroll(self.feedback, limit=limit, offset=after, with_payload=True),
        )
        found = [payload.to_feedback(point.payload or {}) for point in points]
        return found, str(following) if following is not None else None

    async def _free_jobs(self, now: float) -> list[str]:
        points, _ = await self._connection.read(
            "look for a job",
            lambda: self._client.scroll(
                self.jobs,
                scroll_filter=models.Filter(must=_free(now)),
                order_by=models.OrderBy(key="created_at"),
                limit=_CLAIMED_AT_ONCE,
                with_payload=["job_id"],
            ),
        )
        return [(point.payload or {})["job_id"] for point in points]

    async def _text(self, head: Payload) -> str | None:
        """The whole text under a head; None when a part of it is gone, because the document was replaced."""
        if not head["parts"]:
            return str(head["text"])
        ids = [_part_point(head["written"], number) for number in range(head["parts"])]
        pieces: list[str] = []
        for start in range(0, len(ids), 4):
            wanted = ids[start : start + 4]
            found = await self._retrieve(self.documents, wanted)
            if len(found) < len(wanted):
                return None
            pieces += (found[id_]["text"] for id_ in wanted)
        return "".join(pieces)

    async def _retrieve(
        self, collection: str, ids: Sequence[str], fields: list[str] | None = None
    ) -> dict[str, Payload]:
        points = await self._connection.read(
            f"read from {collection}", lambda: self._client.retrieve(collection, ids, with_payload=fields or True)
        )
        return {str(point.id): point.payload or {} for point in points}

    async def _upsert(
        self, collection: str, points: Sequence[models.PointStruct], *, unless: models.Filter | None = None
    ) -> None:
        async def call() -> None:
            require_completed(
                await self._client.upsert(collection, points, wait=True, update_filter=unless, ordering=_STRONG)
            )

        await self._connection.write(f"write to {collection}", call)

    async def _set(self, collection: str, values: Payload, where: models.Filter) -> None:
        async def call() -> None:
            require_completed(await self._client.set_payload(collection, values, where, wait=True, ordering=_STRONG))

        await self._connection.write(f"write to {collection}", call)

    async def _delete(self, where: models.Filter, collection: str) -> None:
        async def call() -> None:
            selector = models.FilterSelector(filter=where)
            require_completed(await self._client.delete(collection, selector, wait=True, ordering=_STRONG))

        await self._connection.write(f"remove from {collection}", call)


_STRONG = models.WriteOrdering.STRONG
_FINISHED = field_is("open", False)


def _free(now: float) -> list[models.Condition]:
    return [field_is("open", True), models.FieldCondition(key="lease_until", range=models.Range(lte=now))]


def _points(document: Document) -> tuple[models.PointStruct, list[models.PointStruct]]:
    """The head, which holds a short text itself, and the parts of a long one."""
    pieces = list(payload.parts(payload.from_passages(document.passages), _PART_CHARACTERS))
    written = uuid.uuid4().hex
    inline = len(pieces) == 1
    body = payload.from_document(document) | {
        "kind": "document",
        "written": written,
        "parts": 0 if inline else len(pieces),
        "text": pieces[0] if inline else "",
    }
    head = models.PointStruct(id=_document_point(document.id), vector={}, payload=body)
    if inline:
        return head, []
    return head, [
        models.PointStruct(
            id=_part_point(written, number),
            vector={},
            payload={"kind": "part", "document_id": document.id, "written": written, "text": piece},
        )
        for number, piece in enumerate(pieces)
    ]


def _batches(points: Iterable[models.PointStruct]) -> Iterator[list[models.PointStruct]]:
    """In order, each small enough for one request."""
    batch: list[models.PointStruct] = []
    characters = 0
    for point in points:
        size = len((point.payload or {})["text"])
        if batch and (len(batch) == _REQUEST_POINTS or characters + size > _REQUEST_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(point)
        characters += size
    if batch:
        yield batch


def _is_point(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _document_point(document_id: DocumentId) -> str:
    return str(uuid.uuid5(_SPACE, f"document {document_id}"))


def _part_point(written: str, number: int) -> str:
    return str(uuid.uuid5(_SPACE, f"part {written} {number}"))


def _job_point(job_id: str) -> str:
    return str(uuid.uuid5(_SPACE, f"job {job_id}"))


_VERSION = str(uuid.uuid5(_SPACE, "version"))
