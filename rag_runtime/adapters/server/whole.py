"""Hits of one version of each document, while one is being replaced.

Qdrant changes points one after the other, so in the middle of a replacement chunks of two versions can be found. One of
them is whole at any moment: the old one until all of the new can be found, and then the new one.

What cannot be seen from the hits is not mended: in those milliseconds a search whose hits are all of the new version
may lack some of its chunks. To notice would take a second request for each search.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from qdrant_client import models

from rag_runtime.adapters.server.schema import field_is, of_document
from rag_runtime.domain import DocumentId, Hit

# A replacement takes some milliseconds; one that was cut short waits for another replica.
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.01

# Hits without those that the filters match.
Look = Callable[[Sequence[models.Filter]], Awaitable[list[Hit]]]
# The version of a document that was sent last, and whether all of its chunks can be found.
Newest = Callable[[DocumentId], Awaitable[tuple[str | None, bool]]]


async def search_whole(look: Look, newest: Newest) -> list[Hit]:
    hits = await look(())
    for attempt in range(_ATTEMPTS):
        mixed = _mixed(hits)
        if not mixed:
            return hits
        if attempt:
            await asyncio.sleep(_PAUSE_SECONDS)
        last = attempt == _ATTEMPTS - 1
        unwanted = [await _unwanted(id_, hashes, newest, last=last) for id_, hashes in mixed.items()]
        hits = await look([each for some in unwanted for each in some])
    return hits


def _mixed(hits: Sequence[Hit]) -> Mapping[DocumentId, set[str]]:
    versions: defaultdict[DocumentId, set[str]] = defaultdict(set)
    for hit in hits:
        versions[hit.chunk.document_id].add(hit.chunk.content_hash)
    return {id_: hashes for id_, hashes in versions.items() if len(hashes) > 1}


async def _unwanted(id_: DocumentId, hashes: set[str], newest: Newest, *, last: bool) -> list[models.Filter]:
    """What to leave out: nothing where that cannot be told yet, and the next look may find it settled."""
    version, is_whole = await newest(id_)
    if version not in hashes or version is None:
        return []
    this = field_is("content_hash", version)
    if is_whole:
        return [models.Filter(must=[field_is("document_id", id_)], must_not=[this])]
    return [of_document(id_, this)] if last else []
