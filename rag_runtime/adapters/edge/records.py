"""Documents, jobs, feedback and the version of an embedded store, in SQLite. One connection, one thread.

Nothing is durable before `commit`; `attempt` undoes one request of the group that a commit closes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rag_runtime.adapters import payload
from rag_runtime.domain import Document, DocumentId, Feedback, Job
from rag_runtime.errors import StoreUnavailable

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, head TEXT NOT NULL, passages TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, created_at REAL NOT NULL, open INTEGER NOT NULL,
        owner TEXT NOT NULL, lease_until REAL NOT NULL, body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS open_jobs ON jobs (created_at) WHERE open;
    CREATE TABLE IF NOT EXISTS feedback (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT OR IGNORE INTO counters VALUES ('version', 0);
"""
_JOB = "SELECT id AS job_id, created_at, owner, lease_until, body FROM jobs"


class Records:
    def __init__(self, path: Path) -> None:
        with _reasons():
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """One request: what it wrote stays in the group's transaction, or is undone when it fails."""
        with _reasons():
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            self._db.execute("SAVEPOINT request")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO request")
                raise
            finally:
                if self._db.in_transaction:
                    self._db.execute("RELEASE request")

    def commit(self) -> None:
        with _reasons():
            if self._db.in_transaction:
                self._db.execute("COMMIT")

    def version(self) -> int:
        return int(self._db.execute("SELECT value FROM counters WHERE name = 'version'").fetchone()[0])

    def raise_version(self) -> None:
        self._db.execute("UPDATE counters SET value = value + 1 WHERE name = 'version'")

    def put_documents(self, documents: Sequence[Document]) -> None:
        rows = [
            (d.id, json.dumps(payload.from_document(d), ensure_ascii=False), payload.from_passages(d.passages))
            for d in documents
        ]
        self._db.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", rows)

    def get_document(self, document_id: DocumentId) -> Document | None:
        row = self._db.execute("SELECT head, passages FROM documents WHERE id = ?", (document_id,)).fetchone()
        return payload.to_document(json.loads(row["head"]), payload.to_passages(row["passages"])) if row else None

    def kept_version(self, document_id: DocumentId) -> str | None:
        row = self._db.execute("SELECT head FROM documents WHERE id = ?", (document_id,)).fetchone()
        return str(json.loads(row["head"])["content_hash"]) if row else None

    def list_documents(self, limit: int, after: str | None) -> tuple[list[Document], str | None]:
        rows = self._db.execute(
            "SELECT id, head FROM documents WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit + 1)
        ).fetchall()
        page = rows[:limit]
        following = page[-1]["id"] if len(rows) > limit else None
        return [payload.to_document(json.loads(row["head"])) for row in page], following

    def delete_document(self, document_id: DocumentId) -> bool:
        return self._db.execute("DELETE FROM documents WHERE id = ?", (document_id,)).rowcount > 0

    def put_job(self, job: Job) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO jobs VALUES (:job_id, :created_at, :open, :owner, :lease_until, :body)",
            payload.from_job(job),
        )

    def get_job(self, job_id: str) -> Job | None:
        row = self._db.execute(f"{_JOB} WHERE id = ?", (job_id,)).fetchone()
        return payload.to_job(dict(row)) if row else None

    def claim_job(self, owner: str, now: float, lease_seconds: float) -> Job | None:
        row = self._db.execute(
            f"{_JOB} WHERE open AND lease_until <= ? ORDER BY created_at LIMIT 1",
            (now,),
        ).fetchone()
        if row is None:
            return None
        lease = {"owner": owner, "lease_until": now + lease_seconds}
        self._db.execute("UPDATE jobs SET owner = ?, lease_until = ? WHERE id = ?", (*lease.values(), row["job_id"]))
        return payload.to_job(dict(row) | lease)

    def begun(self) -> list[DocumentId]:
        """The documents that somebody was at work on."""
        rows = self._db.execute(f"{_JOB} WHERE open AND owner != ''")
        jobs = [payload.to_job(dict(row)) for row in rows]
        return [file.document_id for job in jobs for file in job.files if file.status == "queued"]

    def expire_jobs(self, before: float, keep: int) -> None:
        newest = "SELECT id FROM jobs WHERE NOT open ORDER BY created_at DESC LIMIT ?"
        self._db.execute(
            f"DELETE FROM jobs WHERE NOT open AND (created_at < ? OR id NOT IN ({newest}))",  # noqa: S608
            (before, keep),
        )

    def put_feedback(self, feedback: Feedback) -> None:
        body = json.dumps(payload.from_feedback(feedback), ensure_ascii=False)
        self._db.execute("INSERT OR REPLACE INTO feedback VALUES (?, ?)", (feedback.id, body))

    def list_feedback(self, limit: int, after: str | None) -> tuple[list[Feedback], str | None]:
        rows = self._db.execute(
            "SELECT id, body FROM feedback WHERE id > ? ORDER BY id LIMIT ?", (after or "", limit + 1)
        ).fetchall()
        page = rows[:limit]
        following = page[-1]["id"] if len(rows) > limit else None
        return [payload.to_feedback(json.loads(row["body"])) for row in page], following


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as problem:
        raise StoreUnavailable(f"The embedded store's records cannot be read or written: {problem}") from problem
