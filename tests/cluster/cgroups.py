"""The control groups of a cluster's pods: made before the kubelet, which does not make them, and removed at the end."""

import time
from pathlib import Path

from tests.cluster.errors import MissingPrerequisite

V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def parse_mounts(mounts: str) -> list[tuple[Path, bool]]:
    """The control group hierarchies in /proc/mounts: where, and whether of version 2."""
    found = []
    for line in mounts.splitlines():
        _, where, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(where), kind == "cgroup2"))
    return found


def hierarchies() -> list[tuple[Path, bool]]:
    return parse_mounts(Path("/proc/mounts").read_text())


def create(name: str) -> None:
    """One group per hierarchy. With both versions mounted, version 2 has no controllers and is left alone."""
    found = hierarchies()
    if not found:
        raise MissingPrerequisite("no control groups are mounted here", "a kubelet cannot run without them")
    pure_v2 = all(is_v2 for _, is_v2 in found)
    for where, is_v2 in found:
        if is_v2 and not pure_v2:
            continue
        if is_v2:
            _delegate(where)
        (where / name).mkdir(exist_ok=True)
        if is_v2:
            _delegate(where / name)


def _delegate(group: Path) -> None:
    offered = (group / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{controller}" for controller in V2_CONTROLLERS if controller in offered)
    try:
        (group / "cgroup.subtree_control").write_text(wanted)
    except OSError as problem:
        remedy = "run outside a container, or in one whose processes are in a child group"
        raise MissingPrerequisite(f"cannot hand out control group controllers at {group} ({problem})", remedy) from None


def remove(name: str, timeout_seconds: float = 10) -> None:
    """Remove the groups. A process that was just killed may stay in one for a moment."""
    deadline = time.monotonic() + timeout_seconds
    roots = [where / name for where, _ in hierarchies()]
    while any(root.exists() for root in roots) and time.monotonic() < deadline:
        for root in roots:
            _remove_tree(root)
        time.sleep(0.05)


def _remove_tree(root: Path) -> None:
    # Only rmdir: the files in there are the kernel's and vanish with their folder.
    groups = [folder for folder in root.rglob("*") if folder.is_dir()]
    for folder in [*sorted(groups, key=lambda path: len(path.parts), reverse=True), root]:
        try:
            folder.rmdir()
        except OSError:
            continue
