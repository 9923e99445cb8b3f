"""A Qdrant server as the vector store: chunks in an index, documents and jobs beside it.

Only what the server's public API promises is relied upon. Nothing here retries, waits or reads an exception: that is
`server.connection`; what the requests look like is `server.schema`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from qdrant_client import models

from rag_runtime.adapters import indexes, payload
from rag_runtime.adapters.payload import Scored
from rag_runtime.adapters.server import schema
from rag_runtime.adapters.server.connection import Address, Connection, Patience
from rag_runtime.adapters.server.faults import CLIENT_ERRORS, is_conflict, require_completed
from rag_runtime.adapters.server.records import Records
from rag_runtime.adapters.server.whole import search_whole
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Feedback, Hit, Job
from rag_runtime.errors import IndexMismatch, StoreRejected, StoreUnavailable
from rag_runtime.ports import IndexSpec, Search

# Conditional upserts, the constant of the fusion and metadata of collections came with it.
_OLDEST_SERVER = (1, 16)
# Four requests at once keep a server busy; more only queue there.
_UPSERTS_AT_ONCE = 4


class QdrantServer:
    """A ChunkStore on a server. Any number of replicas may share it."""

    def __init__(  # noqa: PLR0913, one keyword for each setting of the environment
        self,
        spec: IndexSpec,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        prefer_grpc: bool = False,
        max_points_per_upsert: int = 8,
        retries: int = 5,
        backoff_base: float = 1.0,
        owner: str = "",
        adopt: bool = False,
        tuning: Tuning | None = None,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        self._spec = spec
        self._stamp = indexes.stamp_for(spec, owner=owner)
        self._adopt = adopt
        self._tuning = tuning or Tuning()
        self._max_points = max_points_per_upsert
        patience = Patience(retries, backoff_base, on_retry)
        self._connection = Connection(Address(url, api_key, timeout, prefer_grpc), patience)
        self._client = self._connection.client
        self._records = Records(self._connection, spec.name)
        self._upserts = asyncio.Semaphore(_UPSERTS_AT_ONCE)
        self._index = self._stamp.index
        self._indexed: set[str] = set()

    async def open(self) -> None:
        await self._require_version()
        alias = await self._alias()
        self._index = alias or await self._unaliased()
        await self._take_index()
        await self._prepare_records()
        if alias is None and self._index != self._spec.name:
            await self._point_alias()

    async def close(self) -> None:
        await self._connection.close()

    async def ping(self) -> None:
        exists = await self._connection.read("ping", lambda: self._client.collection_exists(self._index))
        if not exists:
            raise StoreUnavailable(f"Collection {self._index!r} is gone from the server; restart to make it anew")

    async def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        indexes.check_vectors(self._spec, chunks)
        await self._index_ranges(chunks)
        batches = [chunks[start : start + self._max_points] for start in range(0, len(chunks), self._max_points)]
        # All are awaited before the first failure is told, so that nothing is written after it.
        outcomes = await asyncio.gather(*(self._upsert(batch) for batch in batches), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def publish(self, document_id: DocumentId, content_hash: str) -> int:
        async def call() -> None:
            operations = schema.publication(document_id, content_hash)
            require_completed(*await self._client.batch_update_points(self._index, operations, wait=True))

        await self._connection.write("publish a document", call)
        await self._records.raise_version()
        version = schema.of_document(document_id, schema.field_is("content_hash", content_hash))
        return await self._count(version)

    async def search(self, search: Search) -> list[Hit]:
        return await search_whole(lambda without: self._look(search, without), self._newest)

    async def _newest(self, document_id: DocumentId) -> tuple[str | None, bool]:
        version = await self._records.kept_version(document_id)
        if version is None:
            return None, False
        hidden = schema.of_document(
            document_id, schema.field_is("content_hash", version), schema.field_is("live", False)
        )
        return version, await self._count(hidden) == 0

    async def _look(self, search: Search, without: Sequence[models.Filter]) -> list[Hit]:
        requests = schema.search_requests(search, without)
        answers = await self._connection.read(
            "search", lambda: self._client.query_batch_points(self._index, list(requests.values()))
        )
        stages = {
            name: [Scored(str(point.id), point.score, point.payload) for point in answer.points]
            for name, answer in zip(requests, answers, strict=True)
        }
        return payload.to_hits(stages, top_k=search.top_k, explain=search.explain)

    async def count(self) -> int:
        return await self._count(schema.PUBLISHED)

    async def version(self) -> int:
        return await self._records.version()

    async def put_documents(self, documents: Sequence[Document]) -> None:
        if documents:
            await self._records.put_documents(documents)

    async def get_document(self, document_id: DocumentId) -> Document | None:
        return await self._records.get_document(document_id)

    async def kept_version(self, document_id: DocumentId) -> str | None:
        return await self._records.kept_version(document_id)

    async def list_documents(self, *, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
        return await self._records.list_documents(limit, after)

    async def delete_document(self, document_id: DocumentId) -> bool:
        """Chunks first: when it fails halfway, the document is still listed and can be deleted again."""
        its_chunks = schema.of_document(document_id)
        had_chunks = await self._count(its_chunks) > 0

        async def call() -> None:
            selector = models.FilterSelector(filter=its_chunks)
            require_completed(await self._client.delete(self._index, selector, wait=True))

        await self._connection.write("delete a document's chunks", call)
        existed = await self._records.delete_document(document_id)
        await self._records.raise_version()
        return existed or had_chunks

    async def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        live = schema.field_is("live", True)
        points, _ = await self._connection.read(
            "look for a document's chunks",
            lambda: self._client.scroll(
                self._index, schema.of_document(document_id, live), limit=1, with_payload=["content_hash"]
            ),
        )
        if not points:
            return None
        content_hash = str((points[0].payload or {})["content_hash"])
        same = schema.of_document(document_id, live, schema.field_is("content_hash", content_hash))
        count, every = await asyncio.gather(self._count(same), self._count(schema.of_document(document_id, live)))
        return (content_hash, count) if count == every else None

    async def put_job(self, job: Job) -> None:
        await self._records.put_job(job)

    async def get_job(self, job_id: str) -> Job | None:
        return await self._records.get_job(job_id)

    async def claim_job(self, *, owner: str, now: float, lease_seconds: float) -> Job | None:
        return await self._records.claim_job(owner, now, lease_seconds)

    async def expire_jobs(self, *, before: float, keep: int) -> None:
        await self._records.expire_jobs(before, keep)

    async def put_feedback(self, feedback: Feedback) -> None:
        await self._records.put_feedback(feedback)

    async def list_feedback(self, *, limit: int, after: str | None = None) -> tuple[list[Feedback], str | None]:
        return await self._records.list_feedback(limit, after)

    async def _upsert(self, chunks: Sequence[EmbeddedChunk]) -> None:
        points = [schema.to_point(embedded) for embedded in chunks]

        async def call() -> None:
            require_completed(
                await self._client.upsert(self._index, points, wait=True, update_filter=schema.NOT_PUBLISHED)
            )

        async with self._upserts:
            await self._connection.write("store chunks", call)

    async def _count(self, where: models.Filter) -> int:
        answer = await self._connection.read(
            "count chunks", lambda: self._client.count(self._index, count_filter=where, exact=True)
        )
        return answer.count

    async def _require_version(self) -> None:
        version = (await self._connection.read("ask for the version", self._client.info)).version
        numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
        if numbers < _OLDEST_SERVER:
            raise StoreRejected(f"Qdrant {version} is too old: {'.'.join(map(str, _OLDEST_SERVER))} or later is needed")

    async def _alias(self) -> str | None:
        """The index that COLLECTION_NAME leads to."""
        found = await self._connection.read("read the aliases", self._client.get_aliases)
        targets = {alias.alias_name: alias.collection_name for alias in found.aliases}
        return targets.get(self._spec.name)

    async def _unaliased(self) -> str:
        """A collection that bears the very name takes the alias's place; whether it may be used is for its stamp."""
        exists = await self._connection.read(
            "look for the collection", lambda: self._client.collection_exists(self._spec.name)
        )
        return self._spec.name if exists else self._stamp.index

    async def _take_index(self) -> None:
        if self._index == self._stamp.index:
            config = schema.index_config(self._spec, self._tuning)
            await self._create(self._index, metadata={schema.STAMP: self._stamp.to_payload()}, **config)
        info = await self._connection.read("read the index", lambda: self._client.get_collection(self._index))
        found = indexes.from_payload((info.config.metadata or {}).get(schema.STAMP) or {})
        if indexes.needs_stamp(found, self._stamp, index=self._index, adopt=self._adopt):
            await self._put_stamp(info)
        if changes := schema.tuning_changes(self._tuning, info):
            update: Callable[..., Awaitable[bool]] = self._client.update_collection
            await self._connection.write("tune the index", lambda: update(self._index, **changes))
        await self._index_fields(self._index, schema.INDEX_FIELDS)
        self._indexed = {*info.payload_schema, *schema.INDEX_FIELDS}

    async def _put_stamp(self, info: models.CollectionInfo) -> None:
        if not schema.fits(self._spec, info):
            raise IndexMismatch(
                f"Collection {self._index!r} cannot be adopted: it needs a vector 'dense' of size "
                f"{self._spec.dense_size}, a sparse vector 'sparse', and 'late' of size {self._spec.late_size} "
                "where late interaction is on; choose another COLLECTION_NAME"
            )
        metadata = {schema.STAMP: self._stamp.to_payload()}
        await self._connection.write(
            "stamp the index", lambda: self._client.update_collection(self._index, metadata=metadata)
        )

    async def _prepare_records(self) -> None:
        for name, fields in self._records.collections.items():
            await self._create(name, vectors_config={})
            await self._index_fields(name, fields)
        await self._records.start_version()

    async def _create(self, name: str, **config: object) -> None:
        """Make a collection unless it is there; another replica may be faster."""
        create: Callable[..., Awaitable[bool]] = self._client.create_collection

        async def call() -> None:
            if await self._client.collection_exists(name):
                return
            try:
                await create(name, **config)
            except CLIENT_ERRORS as error:
                if not is_conflict(error):
                    raise

        await self._connection.read(f"make collection {name}", call)

    async def _index_fields(self, collection: str, fields: Mapping[str, models.PayloadSchemaType]) -> None:
        """A filter on a field without an index costs twenty times as much."""
        info = await self._connection.read("read a collection", lambda: self._client.get_collection(collection))
        missing = [name for name, kind in fields.items() if not _is_indexed(info, name, kind)]
        await asyncio.gather(*(self._index_field(collection, name, fields[name]) for name in missing))

    async def _index_field(self, collection: str, name: str, kind: models.PayloadSchemaType) -> None:
        async def call() -> None:
            require_completed(await self._client.create_payload_index(collection, name, field_schema=kind, wait=True))

        await self._connection.write(f"index {name} of {collection}", call)

    async def _index_ranges(self, chunks: Sequence[EmbeddedChunk]) -> None:
        """Numbers and dates get an index when the first of their kind comes."""
        fields = payload.new_ranges(chunks, self._indexed)
        await asyncio.gather(*(self._index_field(self._index, field, schema.FLOAT) for field in fields))
        self._indexed.update(fields)

    async def _point_alias(self) -> None:
        creation = models.CreateAlias(collection_name=self._index, alias_name=self._spec.name)
        operation = models.CreateAliasOperation(create_alias=creation)
        await self._connection.write("set the alias", lambda: self._client.update_collection_aliases([operation]))


def _is_indexed(info: models.CollectionInfo, name: str, kind: models.PayloadSchemaType) -> bool:
    found = info.payload_schema.get(name)
    return found is not None and found.data_type == kind
