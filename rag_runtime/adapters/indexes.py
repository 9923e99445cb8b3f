"""What an index is called, the stamp it carries, and whether it is ours to use. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from rag_runtime.domain import EmbeddedChunk, Vectors
from rag_runtime.errors import IndexMismatch, StoreRejected
from rag_runtime.ports import IndexSpec

# A name is a folder, an alias and a part of URLs; Qdrant itself stops at 255 characters, and suffixes are added.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def index_name(spec: IndexSpec) -> str:
    """`<name>__<8 hex of the settings>`; the order in which settings are listed does not matter."""
    if not _NAME.fullmatch(spec.name):
        raise StoreRejected(
            f"COLLECTION_NAME is {spec.name!r}; allowed are letters, digits, '_', '.' and '-', at most 200, "
            "the first a letter or digit"
        )
    canonical = json.dumps(sorted(spec.settings), ensure_ascii=True)
    return f"{spec.name}__{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is written into an index when it is made: whose it is and what went into it."""

    index: str
    owner: str
    settings: tuple[tuple[str, str], ...]
    dense_size: int
    late_size: int | None

    def to_payload(self) -> dict[str, object]:
        return {
            "index": self.index,
            "owner": self.owner,
            "settings": dict(self.settings),
            "dense_size": self.dense_size,
            "late_size": self.late_size,
        }


def stamp_for(spec: IndexSpec, *, owner: str) -> Stamp:
    return Stamp(index_name(spec), owner, tuple(sorted(spec.settings)), spec.dense_size, spec.late_size)


def from_payload(payload: Mapping[str, object]) -> Stamp | None:
    """The stamp in an index's metadata; None where there is none that we could have written."""
    index, owner, settings = payload.get("index"), payload.get("owner"), payload.get("settings")
    dense, late = payload.get("dense_size"), payload.get("late_size")
    if not (isinstance(index, str) and isinstance(owner, str) and isinstance(settings, Mapping)):
        return None
    if not isinstance(dense, int):
        return None
    pairs = tuple(sorted((str(key), str(value)) for key, value in settings.items()))
    return Stamp(index, owner, pairs, dense, late if isinstance(late, int) else None)


def needs_stamp(found: Stamp | None, wanted: Stamp, *, index: str, adopt: bool) -> bool:
    """Whether `index` is to be stamped as `wanted`; raise IndexMismatch when it is not ours to use."""
    if found is None:
        if adopt:
            return True
        raise IndexMismatch(
            f"Index {index!r} carries no stamp of ragops, so it may belong to something else; set vectorStore.adopt "
            "to take it over, or choose another COLLECTION_NAME"
        )
    adoptable = adopt and not found.owner
    if found.owner != wanted.owner and not adoptable:
        raise IndexMismatch(
            f"Index {index!r} belongs to {_owner(found)}, and this service is {_owner(wanted)}; "
            "choose another COLLECTION_NAME"
        )
    if _made_of(found) != _made_of(wanted):
        raise IndexMismatch(
            f"COLLECTION_NAME leads to index {index!r}, made with {_differing(found, wanted)}; this configuration "
            f"makes {wanted.index!r} with {_differing(wanted, found)}; go back to those settings, "
            "or choose another COLLECTION_NAME"
        )
    return found.owner != wanted.owner


def check_vectors(spec: IndexSpec, chunks: Iterable[EmbeddedChunk]) -> None:
    """Refuse what a store would take and never find again: wrong dimensions, and values that are not finite."""
    for embedded in chunks:
        if problem := _shape_problem(spec, embedded) or _number_problem(embedded.vectors):
            raise StoreRejected(f"Chunk {embedded.chunk.id} cannot be stored: {problem}; check the embedding model")


def _shape_problem(spec: IndexSpec, embedded: EmbeddedChunk) -> str | None:
    dense, late = embedded.vectors.dense, embedded.vectors.late
    if dense.shape != (spec.dense_size,):
        return f"its dense vector has shape {dense.shape}, the index wants ({spec.dense_size},)"
    if (late is None) != (spec.late_size is None):
        return "late-interaction vectors are " + ("missing" if late is None else "given, but the index has none")
    if late is not None and (late.ndim != 2 or late.shape[1] != spec.late_size or not len(late)):
        return f"its late-interaction vectors have shape {late.shape}, the index wants (tokens, {spec.late_size})"
    return None


def _number_problem(vectors: Vectors) -> str | None:
    arrays = {"dense": vectors.dense, "sparse": vectors.sparse.values, "late-interaction": vectors.late}
    wild = (name for name, array in arrays.items() if array is not None and not np.isfinite(array).all())
    name = next(wild, None)
    return f"its {name} vector has values that are not finite" if name else None


def _owner(stamp: Stamp) -> str:
    return repr(stamp.owner) if stamp.owner else "no pipeline (made locally)"


def _made_of(stamp: Stamp) -> dict[str, str]:
    return dict(stamp.settings) | {"dense size": str(stamp.dense_size), "late size": str(stamp.late_size)}


def _differing(one: Stamp, other: Stamp) -> str:
    mine, theirs = _made_of(one), _made_of(other)
    differing = [key for key in sorted(mine | theirs) if mine.get(key) != theirs.get(key)]
    return ", ".join(f"{key}={mine.get(key, 'unset')}" for key in differing)
