"""Wait for a cluster that starts, and quote its logs when it does not."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.shell import tail

POLL_SECONDS = 0.1
TIMEOUT_SECONDS = 120.0


def wait_until(
    is_so: Callable[[], bool],
    process: "subprocess.Popen[bytes]",
    folder: Path,
    what: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Return as soon as it is so; give up when the process that runs the cluster is gone or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        if process.poll() is not None:
            raise ClusterError(f"the cluster ended while waiting for {what}\n{last_words(folder)}")
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout_seconds:.0f} s for {what}\n{last_words(folder)}")
        time.sleep(POLL_SECONDS)


def last_words(folder: Path) -> str:
    """The end of every log, of the running cluster or of the one that has just ended."""
    logs = folder / "log" if (folder / "log").exists() else folder.with_name(f"{folder.name}.last-logs")
    files = sorted(logs.glob("*.log")) if logs.exists() else []
    return "\n".join(f"--- {file.name}\n{tail(file.read_text(errors='replace'), 5)}" for file in files)
