"""How many processors this process may use: a container's limit, not the machine's count."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available(cgroup: Path = CGROUP) -> int:
    usable = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return usable if quota is None else max(1, min(usable, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Processors by the cgroup's quota, of version 2 or 1; None where there is none."""
    try:
        if (limit := cgroup / "cpu.max").is_file():
            quota, period = limit.read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)
