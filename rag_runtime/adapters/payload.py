"""The nouns of the runtime as JSON values and back, the same in every store. Pure: no client, no I/O."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from rag_runtime import facts
from rag_runtime.domain import (
    Chunk,
    Document,
    DocumentId,
    EmbeddedChunk,
    Feedback,
    FileResult,
    Hit,
    Job,
    Mark,
    Metadata,
    Passage,
    PlaceKind,
    StageRank,
)
from rag_runtime.ports import Search

# JSON has no narrower type; what is read back is what `from_` wrote.
Payload = dict[str, Any]

_FILE_FIELDS = tuple(field.name for field in fields(FileResult))
_FEEDBACK_FIELDS = tuple(field.name for field in fields(Feedback))

# What only filters read, and no hit needs.
UNREAD = [facts.FACTS, facts.RANGES]
# An index for each key that numbers or dates come under, as far as these go; a filter on further ones is slower.
MOST_RANGES = 64
# More than two hardly ever have the same ranks.
_TIES = 4


class Scored(NamedTuple):
    """A point that one stage of a search returned; only the stage that gives the hits carries payloads."""

    id: str
    score: float
    payload: Payload | None = None


def from_chunk(chunk: Chunk) -> Payload:
    return {
        "document_id": chunk.document_id,
        "source": chunk.source,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "content_hash": chunk.content_hash,
        "place_kind": chunk.place_kind,
        "marks": [[mark.offset, mark.place] for mark in chunk.marks],
        "metadata": _plain(chunk.metadata),
        "format": chunk.format,
        facts.FACTS: facts.facts(chunk.metadata),
        facts.RANGES: facts.ranges(chunk.metadata),
    }


def new_ranges(chunks: Iterable[EmbeddedChunk], known: Collection[str]) -> list[str]:
    """The fields of numbers and dates that have no index yet and get one."""
    room = MOST_RANGES - sum(field.startswith(facts.range_field("")) for field in known)
    fields = (facts.range_field(name) for each in chunks for name in facts.ranges(each.chunk.metadata))
    return [field for field in dict.fromkeys(fields) if field not in known][: max(0, room)]


def to_chunk(chunk_id: str, payload: Payload) -> Chunk:
    return Chunk(
        id=chunk_id,
        document_id=DocumentId(payload["document_id"]),
        source=payload["source"],
        ordinal=int(payload["ordinal"]),
        text=payload["text"],
        content_hash=payload["content_hash"],
        place_kind=_place_kind(payload),
        marks=tuple(Mark(int(offset), int(place)) for offset, place in payload.get("marks") or ()),
        metadata=_metadata(payload),
        format=payload.get("format", ""),
    )


def from_document(document: Document) -> Payload:
    """All of a document but its passages, which go by `from_passages`."""
    return {
        "document_id": document.id,
        "source": document.source,
        "format": document.format,
        "content_hash": document.content_hash,
        "place_kind": document.place_kind,
        "metadata": _plain(document.metadata),
    }


def to_document(payload: Payload, passages: tuple[Passage, ...] = ()) -> Document:
    return Document(
        id=DocumentId(payload["document_id"]),
        source=payload["source"],
        format=payload["format"],
        content_hash=payload["content_hash"],
        passages=passages,
        place_kind=_place_kind(payload),
        metadata=_metadata(payload),
    )


def from_passages(passages: Iterable[Passage]) -> str:
    return json.dumps([[passage.place, passage.text] for passage in passages], ensure_ascii=False)


def to_passages(text: str) -> tuple[Passage, ...]:
    return tuple(Passage(text, place) for place, text in json.loads(text))


def parts(text: str, size: int) -> Iterator[str]:
    """The text in pieces of at most `size` characters; an empty text is one empty piece."""
    for start in range(0, max(len(text), 1), size):
        yield text[start : start + size]


def from_job(job: Job) -> Payload:
    """What is looked for stands beside `body`, which holds the rest as one string."""
    files = [{name: getattr(file, name) for name in _FILE_FIELDS} for file in job.files]
    return {
        "job_id": job.id,
        "created_at": job.created_at,
        "open": job.status in {"queued", "running"},
        "owner": job.owner,
        "lease_until": job.lease_until,
        "body": json.dumps({"files": files, "warnings": job.warnings, "tried_by": job.tried_by}, ensure_ascii=False),
    }


def to_job(payload: Payload) -> Job:
    body = json.loads(payload["body"])
    # What a newer replica added to the record is not for this one.
    files = (FileResult(**{name: file[name] for name in _FILE_FIELDS if name in file}) for file in body["files"])
    return Job(
        id=payload["job_id"],
        created_at=float(payload["created_at"]),
        files=tuple(files),
        warnings=tuple(body["warnings"]),
        owner=payload["owner"],
        lease_until=float(payload["lease_until"]),
        tried_by=tuple(body.get("tried_by", ())),
    )


def from_feedback(feedback: Feedback) -> Payload:
    return {name: getattr(feedback, name) for name in _FEEDBACK_FIELDS}


def to_feedback(payload: Payload) -> Feedback:
    return Feedback(**{name: payload[name] for name in _FEEDBACK_FIELDS if name in payload})


def fused_limit(search: Search) -> int:
    """How many fused points to ask for: what late interaction ranks, or the hits and what may tie with the last."""
    return search.candidates if search.vectors.late is not None else search.top_k + _TIES


def to_hits(stages: Mapping[str, Sequence[Scored]], *, top_k: int, explain: bool) -> list[Hit]:
    """Hits in the order of the last stage that ranks ("late", else "fused"), each with its fused score.

    A rank in the one side weighs as much as in the other, so ties are usual: ids settle them, the same in every store.
    """
    in_order = sorted(stages["fused"], key=lambda point: (-point.score, point.id))
    fused = {point.id: point.score for point in in_order}
    best = [point for point in stages.get("late", in_order)[:top_k] if point.id in fused]
    explained = _explained(stages, {point.id for point in best}) if explain else {}
    return [
        Hit(chunk=to_chunk(p.id, p.payload or {}), score=fused[p.id], explain=explained.get(p.id, {})) for p in best
    ]


def _explained(stages: Mapping[str, Sequence[Scored]], wanted: Collection[str]) -> dict[str, dict[str, StageRank]]:
    found: dict[str, dict[str, StageRank]] = {id_: {} for id_ in wanted}
    for name, points in stages.items():
        if name != "fused":
            for rank, point in enumerate(points, start=1):
                if point.id in found:
                    found[point.id][name] = StageRank(rank, point.score)
    return found


def _place_kind(payload: Payload) -> PlaceKind | None:
    return PlaceKind(payload["place_kind"]) if payload.get("place_kind") else None


def _plain(metadata: Metadata) -> Payload:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in metadata.items()}


def _metadata(payload: Payload) -> Metadata:
    found = payload.get("metadata") or {}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
