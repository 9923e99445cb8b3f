"""Make kept documents searchable: cut, embed and stage their chunks in steps that overlap, then publish each whole.

Every step may be repeated: chunks have the same ids each time, and nothing is searchable before all of it is staged.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TypeVar

from rag_runtime.domain import Chunk, Document, DocumentId, EmbeddedChunk
from rag_runtime.errors import StoreUnavailable
from rag_runtime.ports import ChunkStore, Embedder

# A document that changes as often as this while it is embedded is left to the job that changed it last.
MAX_ROUNDS = 5
# Questions about single documents that are asked of the store at once.
ASKED_AT_ONCE = 16

# Steps that are embedded at once: when one has too few texts left for all processors, the next has some.
STEPS_AT_ONCE = 2

Key = TypeVar("Key")
Value = TypeVar("Value")
# Called with a document, and its chunks and characters that are staged so far.
Progress = Callable[[DocumentId, int, int], None]
_Step = tuple[list[Chunk], "asyncio.Task[list[EmbeddedChunk]]"]


class Publisher:
    def __init__(
        self,
        store: ChunkStore,
        embedder: Embedder,
        chunk: Callable[[Document], Iterator[Chunk]],
        *,
        batch_size: int,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._chunk = chunk
        self._batch_size = batch_size

    async def publish(self, ids: Sequence[DocumentId], progress: Progress) -> dict[DocumentId, int | None]:
        """How many chunks of each can be found: 0 where it has no text, None where it was deleted meanwhile."""
        counts: dict[DocumentId, int | None] = {}
        left: Sequence[DocumentId] = ids
        for _ in range(MAX_ROUNDS):
            documents = await each(left, self._store.get_document)
            gone = [id_ for id_, document in documents.items() if document is None]
            await each(gone, self._store.delete_document)
            done = {id_: document for id_, document in documents.items() if document is not None}
            counts |= dict.fromkeys(gone) | await self._publish_versions(done, progress)
            kept = await each(done, self._store.kept_version)
            left = [id_ for id_, document in done.items() if kept[id_] != document.content_hash]
            if not left:
                break
        return counts

    async def _publish_versions(
        self, documents: Mapping[DocumentId, Document], progress: Progress
    ) -> dict[DocumentId, int]:
        published = await each(documents, self._store.published_version)
        done = {
            id_: version[1]
            for id_, version in published.items()
            if version and version[0] == documents[id_].content_hash
        }
        todo = [document for id_, document in documents.items() if id_ not in done]
        staged = await self._stage_all(todo, progress)
        # One that was deleted meanwhile shall not be found again, not even for a moment.
        kept = await each([document.id for document in todo if staged[document.id]], self._store.kept_version)

        async def reveal(id_: DocumentId) -> int:
            return await self._reveal(documents[id_], staged[id_])

        shown = await each([id_ for id_, version in kept.items() if version is not None], reveal)
        return dict.fromkeys(documents, 0) | done | shown

    async def _reveal(self, document: Document, staged: int) -> int:
        count = await self._store.publish(document.id, document.content_hash)
        if count != staged:
            raise StoreUnavailable(f"{count} of {staged} chunks of {document.id} are in the store: trying again")
        return count

    async def _stage_all(self, documents: Sequence[Document], progress: Progress) -> Counter[DocumentId]:
        """How many chunks of each. While a step is stored, the next is embedded and the one after it cut."""
        staged: Counter[DocumentId] = Counter()
        characters: Counter[DocumentId] = Counter()
        steps: asyncio.Queue[_Step | None] = asyncio.Queue(1)
        room = asyncio.Semaphore(STEPS_AT_ONCE)

        async def store() -> None:
            while step := await steps.get():
                chunks, embedding = step
                await self._store.stage(await embedding)
                staged.update(chunk.document_id for chunk in chunks)
                for chunk in chunks:
                    characters[chunk.document_id] += len(chunk.text)
                for id_ in {chunk.document_id for chunk in chunks}:
                    progress(id_, staged[id_], characters[id_])

        async def cut_and_embed() -> None:
            cut = chain.from_iterable(map(self._chunk, documents))
            # Cut in steps too: nothing can end a thread, and a large text takes a minute.
            while chunks := await asyncio.to_thread(lambda: list(islice(cut, self._batch_size))):
                await room.acquire()
                embedding = hands.create_task(self._embedded(chunks))
                embedding.add_done_callback(lambda _: room.release())
                await steps.put((chunks, embedding))
            await steps.put(None)

        try:
            async with asyncio.TaskGroup() as hands:
                hands.create_task(store())
                hands.create_task(cut_and_embed())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return staged

    async def _embedded(self, chunks: Sequence[Chunk]) -> list[EmbeddedChunk]:
        vectors = await self._embedder.embed_documents([chunk.text for chunk in chunks])
        return [EmbeddedChunk(*pair) for pair in zip(chunks, vectors, strict=True)]


async def each(keys: Iterable[Key], call: Callable[[Key], Awaitable[Value]]) -> dict[Key, Value]:
    """What a call says to each key, several at once."""
    room = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(key: Key) -> Value:
        async with room:
            return await call(key)

    keys = list(keys)
    return dict(zip(keys, await asyncio.gather(*map(ask, keys)), strict=True))
