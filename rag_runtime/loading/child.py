"""What `guard` runs: files in on standard input, their text out on standard output, under limits set before the first.

A request is a line `<format> <bytes>` and the bytes; an answer is a line with its length and that much JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import IO

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import parse_here
from rag_runtime.loading.confine import confine


def main() -> None:
    parent, memory_mb, processor_seconds = map(int, sys.argv[1:])
    requests, answers = sys.stdin.buffer, _own_stdout()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _be_the_first_to_go()
    _limit(memory_mb)
    confine()
    while line := requests.readline():
        name, size = line.split()
        data = requests.read(int(size))
        _allow_processor(processor_seconds)
        body = json.dumps(_answer(name.decode(), data), ensure_ascii=False).encode()
        answers.write(b"%d\n" % len(body))
        answers.write(body)
        answers.flush()


def _own_stdout() -> IO[bytes]:
    """Standard output for us alone: what a library prints must not get between answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _end_with(parent: int) -> None:
    """End soon after whoever would have read the answer, be a file only half read."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _be_the_first_to_go() -> None:
    """Where memory runs out, the system should end the reading of a file rather than the service."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _limit(memory_mb: int) -> None:
    memory = memory_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def _allow_processor(seconds: int) -> None:
    """So many more seconds than were used so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds + 1, hard))


def _answer(name: str, data: bytes) -> dict[str, object]:
    try:
        parsed = parse_here(name, data)
    except DocumentUnreadable as unreadable:
        return {"unreadable": str(unreadable)}
    except MemoryError:
        return {"unreadable": "reading it takes more memory than a file may"}
    return {
        "passages": [(passage.text, passage.place) for passage in parsed.passages],
        "place_kind": parsed.place_kind,
        "warnings": parsed.warnings,
        "metadata": parsed.metadata,
    }


if __name__ == "__main__":
    main()
