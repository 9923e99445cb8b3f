"""What the service holds in memory: this process, the store's and a rebuild's, and the parsers', each on its own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# How a child's command line tells what it is.
CHILDREN = {
    "rag_runtime.adapters.edge.worker": "store",
    "rag_runtime.adapters.edge.rebuilding": "rebuild",
    "rag_runtime.loading.child": "parsers",
}
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def by_process() -> dict[str, int]:
    """Resident bytes by kind of process; only `serving` where the system does not tell (it is Linux's way)."""
    found = Counter({"serving": _resident_bytes("self")})
    for child in _descendants("self"):
        if kind := _kind(child):
            found[kind] += _resident_bytes(child)
    return dict(found)


def resident_bytes() -> int:
    """All of them together: they share one limit of a container."""
    return sum(by_process().values())


def is_over(threshold_mb: int) -> bool:
    return bool(threshold_mb) and resident_bytes() > threshold_mb * 1024 * 1024


def limit_bytes() -> int | None:
    """The container's own limit; None where it has none."""
    try:
        return int(_read("/sys/fs/cgroup/memory.max"))
    except ValueError:
        return None


def _descendants(process: str) -> Iterator[str]:
    """The list is kept for each thread that started some. A rebuild is the store's child."""
    for listed in Path("/proc").glob(f"{process}/task/*/children"):
        for child in _read(str(listed)).split():
            yield child
            yield from _descendants(child)


def _kind(process: str) -> str | None:
    command = _read(f"/proc/{process}/cmdline").split("\0")
    return next((kind for module, kind in CHILDREN.items() if module in command), None)


def _resident_bytes(process: str) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * PAGE_BYTES if len(fields) > 1 else 0


def _read(path: str) -> str:
    """Empty when there is none: a process may end while we look."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
