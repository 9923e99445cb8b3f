"""What processes cost: their CPU time and memory, as /proc tells them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User's and system's, of the process and its threads."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_megabytes(pid: int, what: str = "VmRSS") -> float:
    """Resident now; with VmHWM the most it ever was."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/{pid}/status has no {what}")


def servers_of(folder: Path) -> dict[str, int]:
    """The servers whose command line names the folder, by the name of their program."""
    found = {}
    for each in PROC.glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(folder) in word for word in words) and "python" not in words[0]:
            found[Path(words[0]).name] = int(each.parent.name)
    return found


def cpu_by_name(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def since(before: Mapping[str, float], pids: Mapping[str, int]) -> dict[str, float]:
    return {name: round(used - before[name], 2) for name, used in cpu_by_name(pids).items()}
