"""Stay beside a running cluster, outside its namespaces, and clear everything away when it ends, however it ends.

Started as: python -m tests.cluster.keeper PLAN, with standard input as the lifeline: when the last process that
holds the other end is gone, the cluster ends. One that is to be kept is told so over it, and then ends by SIGTERM.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster import cgroups, locks

NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
SUPERVISE = Path(__file__).with_name("supervise.py")


def main(plan_file: Path) -> None:
    plan = json.loads(plan_file.read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with locks.held(Path(plan["lock"])):
        node = None
        try:
            (Path(plan["folder"]) / "keeper.pid").write_text(str(os.getpid()))
            if plan["node"]:
                node = start_node(plan)
            wait_for_end(node)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if node is not None:
                node.kill()
                node.wait()
            clear(plan)


def start_node(plan: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Make the namespaces, link them to the host, then hand the plan in."""
    node = subprocess.Popen(
        [*NAMESPACES, sys.executable, str(SUPERVISE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert node.stdin is not None
    assert node.stdout is not None
    if not node.stdout.readline():
        sys.exit("the namespaces could not be made")
    undo(plan)
    for words in plan["links"]:
        subprocess.run([word.format(pid=node.pid) for word in words], check=True)
    node.stdin.write(json.dumps(plan["node"]).encode() + b"\n")
    node.stdin.flush()
    return node


def wait_for_end(node: "subprocess.Popen[bytes] | None") -> None:
    lifeline = sys.stdin.fileno()
    watched = [lifeline]
    if node is not None:
        watched.append(os.pidfd_open(node.pid))
    # One word over the lifeline: the cluster stays without it.
    if select.select(watched, [], [])[0] == [lifeline] and os.read(lifeline, 1):
        select.select(watched[1:], [], [])


def undo(plan: dict[str, Any]) -> None:
    """What an end leaves to do outside the namespaces; mostly it is done already, and the commands say so."""
    for words in plan["finally"]:
        subprocess.run(words, check=False, stderr=subprocess.DEVNULL)


def clear(plan: dict[str, Any]) -> None:
    undo(plan)
    if plan["cgroup"]:
        cgroups.remove(plan["cgroup"])
    keep_logs(Path(plan["folder"]))
    shutil.rmtree(plan["folder"], ignore_errors=True)


def keep_logs(folder: Path) -> None:
    """The logs outlive their cluster by one run, for whoever asks why it failed."""
    kept = folder.with_name(f"{folder.name}.last-logs")
    shutil.rmtree(kept, ignore_errors=True)
    if (folder / "log").exists():
        (folder / "log").rename(kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
