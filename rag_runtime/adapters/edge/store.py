"""The embedded store as one blocking object: the folder, one index and the records behind the methods of the port.

What a method wrote is durable after the next `commit`, not before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rag_runtime.adapters import indexes
from rag_runtime.adapters.edge.folder import Folder
from rag_runtime.adapters.edge.opening import Opening
from rag_runtime.adapters.edge.rebuilding import Rebuild, recover
from rag_runtime.adapters.edge.records import Records
from rag_runtime.adapters.edge.shard import Shard
from rag_runtime.adapters.indexes import Stamp
from rag_runtime.domain import Document, DocumentId, EmbeddedChunk, Feedback, Hit, Job
from rag_runtime.errors import RagError, StoreRejected, StoreUnavailable
from rag_runtime.ports import Search


class Store:
    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self.rebuild: Rebuild | None = None
        self._reserve = opening.disk_reserve_bytes
        self._folder = Folder(opening.data_dir)
        self._folder.take()
        self._folder.require_space(self._reserve)
        self._shard, self._shard_folder = _open_shard(self._folder, opening)
        self._records = Records(self._folder.records(opening.spec.name))
        self._changed = True
        # A predecessor may have been killed between a change and the raise that belongs to it.
        with self._records.attempt():
            self._finish_publications()
            self._records.raise_version()
        self.commit()

    def _finish_publications(self) -> None:
        """A predecessor may have been killed when it had shown a version, and not dropped the one before."""
        for document_id in self._records.begun():
            version = self._records.kept_version(document_id)
            if version is not None and _explained(self._shard.shows, document_id, version):
                _explained(self._shard.publish, document_id, version)

    def close(self) -> None:
        self._abandon_rebuild()
        self._shard.close()
        self._records.close()
        self._folder.release()

    def call(self, method: str, arguments: Sequence[Any]) -> Any:
        """One request of the port, undone as far as the records go when it fails."""
        if method not in WRITES:
            return _explained(getattr(self, method), *arguments)
        if not method.startswith("delete"):
            self._folder.require_space(self._reserve)
        self._changed = True
        with self._records.attempt():
            return _explained(getattr(self, method), *arguments)

    def commit(self) -> None:
        """Chunks before records: a version is never raised before what it speaks of is durable."""
        _explained(self._shard.sync)
        self._records.commit()

    def tidy(self, *, optimize: bool) -> None:
        """What keeps the store quick and its replay short; it blocks, so it is for quiet moments."""
        if self._changed:
            _explained(self._shard.flush)
            self._changed = False
        if optimize and self.rebuild is None:
            self._optimize()

    def end_rebuild(self) -> None:
        """The rebuilding process has ended: what it made takes the shard's place, if it made something."""
        rebuild = self.rebuild
        if rebuild is None:
            return
        if not rebuild.succeeded():
            self._abandon_rebuild()
            return
        _explained(self._shard.close)
        rebuild.take_place()
        self._shard = _explained(Shard, self._shard_folder, self._opening.spec, self._opening.tuning)
        _explained(rebuild.write_to, self._shard)
        _explained(self._shard.flush)
        rebuild.finish()
        self._abandon_rebuild()

    def _optimize(self) -> None:
        """Small shards here and now; a large one elsewhere, as its graph takes minutes."""
        if not self._shard.is_large():
            _explained(self._shard.optimize)
        elif self._shard.lacks_graph() and self._folder.has_space(self._reserve, twice=self._shard_folder):
            self.rebuild = Rebuild.begin(self._shard_folder, self._opening.spec, self._opening.tuning)

    def _abandon_rebuild(self) -> None:
        if self.rebuild is not None:
            self.rebuild.abandon()
            self.rebuild = None

    def _note(self, method: str, *arguments: Any) -> None:
        """For the shard's successor. Too much of it, and another rebuild after this costs less."""
        if self.rebuild is not None and not self.rebuild.note(method, arguments):
            self._abandon_rebuild()

    def stage(self, chunks: Sequence[EmbeddedChunk]) -> None:
        self._shard.stage(chunks)
        self._note("stage", chunks)

    def publish(self, document_id: DocumentId, content_hash: str) -> int:
        published = self._shard.publish(document_id, content_hash)
        self._note("publish", document_id, content_hash)
        self._records.raise_version()
        return published

    def search(self, search: Search) -> list[Hit]:
        return self._shard.search(search)

    def count(self) -> int:
        return self._shard.count()

    def version(self) -> int:
        return self._records.version()

    def put_documents(self, documents: Sequence[Document]) -> None:
        self._records.put_documents(documents)

    def get_document(self, document_id: DocumentId) -> Document | None:
        return self._records.get_document(document_id)

    def kept_version(self, document_id: DocumentId) -> str | None:
        return self._records.kept_version(document_id)

    def list_documents(self, limit: int, after: str | None) -> tuple[list[Document], str | None]:
        return self._records.list_documents(limit, after)

    def delete_document(self, document_id: DocumentId) -> bool:
        had_chunks = self._shard.delete_document(document_id)
        self._note("delete_document", document_id)
        self._records.raise_version()
        return self._records.delete_document(document_id) or had_chunks

    def published_version(self, document_id: DocumentId) -> tuple[str, int] | None:
        return self._shard.published_version(document_id)

    def put_job(self, job: Job) -> None:
        self._records.put_job(job)

    def get_job(self, job_id: str) -> Job | None:
        return self._records.get_job(job_id)

    def claim_job(self, owner: str, now: float, lease_seconds: float) -> Job | None:
        return self._records.claim_job(owner, now, lease_seconds)

    def expire_jobs(self, before: float, keep: int) -> None:
        self._records.expire_jobs(before, keep)

    def put_feedback(self, feedback: Feedback) -> None:
        self._records.put_feedback(feedback)

    def list_feedback(self, limit: int, after: str | None) -> tuple[list[Feedback], str | None]:
        return self._records.list_feedback(limit, after)

    def ping(self) -> None:
        self._records.version()


WRITES = frozenset(
    {"stage", "publish", "put_documents", "delete_document", "put_job", "claim_job", "expire_jobs", "put_feedback"}
)


def _open_shard(folder: Folder, opening: Opening) -> tuple[Shard, Path]:
    """The index that the pointer file names; where there is none, a new one, stamped before it is pointed to."""
    spec, wanted = opening.spec, indexes.stamp_for(opening.spec, owner=opening.owner)
    index = folder.target(spec.name)
    if index is None and folder.stamp(wanted.index) is None:
        return _make_shard(folder, opening, wanted)
    index = index or wanted.index
    if indexes.needs_stamp(folder.stamp(index), wanted, index=index, adopt=opening.adopt):
        folder.put_stamp(index, wanted)
    recover(folder.shard(index))
    shard: Shard = _explained(Shard, folder.shard(index), spec, opening.tuning)
    folder.point(spec.name, index)
    return shard, folder.shard(index)


def _make_shard(folder: Folder, opening: Opening, stamp: Stamp) -> tuple[Shard, Path]:
    # Without a stamp and a pointer it is what a process left that was killed while it made it.
    shutil.rmtree(folder.shard(stamp.index), ignore_errors=True)
    shard: Shard = _explained(Shard, folder.shard(stamp.index), opening.spec, opening.tuning)
    folder.put_stamp(stamp.index, stamp)
    folder.point(opening.spec.name, stamp.index)
    return shard, folder.shard(stamp.index)


def _explained(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (RagError, MemoryError):
        raise
    except (ValueError, TypeError, OverflowError) as problem:
        raise StoreRejected(f"The embedded store refuses the request: {problem}") from problem
    except OSError as problem:
        raise StoreUnavailable(f"The embedded store cannot use its disk: {problem}") from problem
    # The engine raises nothing narrower than Exception, with the reason in its text.
    except Exception as problem:
        refusal = any(sign in str(problem) for sign in ("dimension", "Not existing vector", "Wrong input"))
        kind = StoreRejected if refusal else StoreUnavailable
        raise kind(f"The embedded store's engine failed: {problem}") from problem
