"""Optimize a large shard in a process of its own, on a copy, while the shard itself goes on answering.

    python -m rag_runtime.adapters.edge.rebuilding FOLDER PARENT

The engine holds everything for as long as it builds a graph, which takes minutes where there are many chunks. What is
written meanwhile is noted, and written to the copy too before that takes the shard's place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag_runtime.adapters.edge.folder import sync
from rag_runtime.adapters.edge.shard import Shard
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import EmbeddedChunk
from rag_runtime.ports import IndexSpec

# With more than this to write twice, a later start costs less. It is held in memory, too.
MOST_NOTED_CHUNKS = 5_000
_PREFIX, _ASIDE = "rebuilt-", "shard.replaced"
# Below the queries, and above standing still where they use every processor.
_NICENESS = 5
# https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
_PR_SET_PDEATHSIG = 1


class Rebuild:
    """One of them at a time. The shard must be flushed, and nobody may write to it, when it begins."""

    def __init__(self, live: Path, copy: Path, process: subprocess.Popen[bytes]) -> None:
        self._live, self._copy, self._process = live, copy, process
        self._noted: list[tuple[str, Sequence[Any]]] = []
        self._noted_chunks = 0

    @classmethod
    def begin(cls, live: Path, spec: IndexSpec, tuning: Tuning) -> Rebuild | None:
        """None where it cannot be had now, as for want of space."""
        copy = live.with_name(f"{_PREFIX}{uuid.uuid4().hex[:8]}")
        command = [sys.executable, "-m", "rag_runtime.adapters.edge.rebuilding", str(copy), str(os.getpid())]
        try:
            shutil.copytree(live, copy, copy_function=_copy)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdin is not None  # noqa: S101 - it was asked for
            with process.stdin as told:
                told.write(pickle.dumps((spec, tuning)))
        except OSError as problem:
            print(f"embedded store: cannot be optimized now: {problem}", file=sys.stderr)  # noqa: T201
            shutil.rmtree(copy, ignore_errors=True)
            return None
        return cls(live, copy, process)

    def fileno(self) -> int:
        """Readable when the process has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return self._process.stdout.fileno()

    def note(self, method: str, arguments: Sequence[Any]) -> bool:
        """A write of the shard; whether there is still room for such."""
        self._noted.append((method, arguments))
        if method == "stage":
            chunks: Sequence[EmbeddedChunk] = arguments[0]
            self._noted_chunks += len(chunks)
        return self._noted_chunks <= MOST_NOTED_CHUNKS

    def succeeded(self) -> bool:
        """Wait for the process, which has ended or will at once."""
        return self._process.wait() == 0

    def write_to(self, shard: Shard) -> None:
        """What the shard has and the copy has not."""
        for method, arguments in self._noted:
            getattr(shard, method)(*arguments)

    def take_place(self) -> None:
        """The copy for the shard, which must be closed; until `finish` the shard itself is kept."""
        self._live.rename(self._live.with_name(_ASIDE))
        self._copy.rename(self._live)
        sync(self._live.parent)

    def finish(self) -> None:
        """The copy has all that was written, on disk."""
        shutil.rmtree(self._live.with_name(_ASIDE))

    def abandon(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        shutil.rmtree(self._copy, ignore_errors=True)


def _copy(source: str, target: str) -> None:
    # The engine has a thread that prepares the log's next file, and renames it when it is needed.
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(source, target)


def recover(shard_folder: Path) -> None:
    """Undo what a process began that was killed before the copy had all that was written."""
    aside = shard_folder.with_name(_ASIDE)
    if aside.exists():
        shutil.rmtree(shard_folder, ignore_errors=True)
        aside.rename(shard_folder)
        sync(shard_folder.parent)
    for copy in shard_folder.parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(copy, ignore_errors=True)


def _end_with(parent: int) -> None:
    """Nobody wants the copy without it, and the engine lets no thread of ours look: so the kernel ends us."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    _end_with(int(sys.argv[2]))
    os.nice(_NICENESS)
    folder = Path(sys.argv[1])
    # From our own parent, over a pipe that nobody else holds.
    spec, tuning = pickle.load(sys.stdin.buffer)  # noqa: S301
    shard = Shard(folder, spec, tuning)
    shard.optimize()
    shard.close()
    # What was copied has never been put on disk.
    for path in [*folder.rglob("*"), folder]:
        sync(path)


if __name__ == "__main__":
    main()
