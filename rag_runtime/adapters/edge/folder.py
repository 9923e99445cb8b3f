"""The embedded store's folder: who holds it, which index a name leads to, and the stamps. Knows no engine.

lock                    held by the one process that may write
aliases/<name>          the pointer file: which index COLLECTION_NAME leads to
indexes/<index>/        stamp.json, shard/ with the engine's own files, and what `rebuilding` needs for a while
records/<name>.sqlite3  documents, jobs and the version, which outlive an index
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO

from rag_runtime.adapters import indexes
from rag_runtime.adapters.indexes import Stamp
from rag_runtime.errors import StoreRejected, StoreUnavailable


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: IO[bytes] | None = None

    def take(self, *, wait_seconds: float = 5.0) -> None:
        """Become the one writer. Waits a little, because a predecessor that was killed may still be ending."""
        lock = self._prepared()
        give_up = time.monotonic() + wait_seconds
        while not _locked(lock):
            if time.monotonic() > give_up:
                lock.close()
                raise StoreRejected(
                    f"The embedded store in {self.root} is already open in another process; stop that one, "
                    "or set DATA_DIR to another folder"
                )
            time.sleep(0.05)
        self._lock = lock

    def _prepared(self) -> IO[bytes]:
        try:
            for folder in (self.root, self.root / "aliases", self.root / "indexes", self.root / "records"):
                folder.mkdir(parents=True, exist_ok=True)
            return (self.root / "lock").open("ab")
        except OSError as problem:
            raise StoreRejected(
                f"The embedded store cannot use the folder {self.root}: {problem.strerror}; "
                "make it writable, or set DATA_DIR to another one"
            ) from problem

    def release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def shard(self, index: str) -> Path:
        return self.root / "indexes" / index / "shard"

    def records(self, name: str) -> Path:
        return self.root / "records" / f"{name}.sqlite3"

    def target(self, name: str) -> str | None:
        """The index that the pointer file names."""
        pointer = self.root / "aliases" / name
        return pointer.read_text().strip() if pointer.exists() else None

    def point(self, name: str, index: str) -> None:
        _write_atomically(self.root / "aliases" / name, index + "\n")

    def stamp(self, index: str) -> Stamp | None:
        path = self.root / "indexes" / index / "stamp.json"
        try:
            return indexes.from_payload(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def put_stamp(self, index: str, stamp: Stamp) -> None:
        folder = self.root / "indexes" / index
        folder.mkdir(exist_ok=True)
        _write_atomically(folder / "stamp.json", json.dumps(stamp.to_payload(), indent=2) + "\n")

    def require_space(self, reserve_bytes: int) -> None:
        disk = os.statvfs(self.root)
        free = disk.f_bavail * disk.f_frsize
        if free < reserve_bytes:
            raise StoreUnavailable(
                f"The disk of {self.root} is full: {free >> 20} MB are free and {reserve_bytes >> 20} MB are kept "
                "in reserve; nothing was stored; free some space or enlarge the volume"
            )

    def has_space(self, reserve_bytes: int, *, twice: Path) -> bool:
        """Whether a second copy of that folder fits beside the reserve."""
        size = sum(file.stat().st_blocks * 512 for file in twice.rglob("*"))
        disk = os.statvfs(self.root)
        # Building takes about as much again as the copy.
        return disk.f_bavail * disk.f_frsize > reserve_bytes + 2 * size


def sync(path: Path) -> None:
    """Put a file, or the list of a folder's files, on disk; what was written through a memory map included."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Put every file of a folder, and its list, on disk, while somebody else may rename some."""
    synced: set[Path] = set()
    while found := set(folder.iterdir()) - synced:
        for path in found:
            # What is gone from here has another name by now, and stands in the next list.
            with contextlib.suppress(FileNotFoundError):
                sync(path)
        synced |= found
    sync(folder)


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_atomically(path: Path, text: str) -> None:
    """Whole or not at all, also after a power loss."""
    draft = path.with_name(path.name + ".new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
