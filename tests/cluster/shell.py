"""Run other programs, and turn their failure into an error that quotes what they said last."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError

TAIL_LINES = 20


def tail(text: str, lines: int = TAIL_LINES) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])


def run(
    command: Sequence[str | Path],
    *,
    input: str | None = None,  # noqa: A002 - as subprocess.run spells it
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout_seconds: float | None = None,
) -> str:
    """Run a command to its end and return its standard output; a failure quotes the end of its standard error."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=input or "",
            capture_output=True,
            text=True,
            env=env,
            cwd=cwd,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ClusterError(f"no such program: {words[0]}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"gave no answer within {timeout_seconds} s: {shlex.join(words)}") from None
    if check and done.returncode:
        said = tail(done.stderr or done.stdout)
        raise ClusterError(f"exit code {done.returncode}: {shlex.join(words)}\n{said}")
    return done.stdout


def succeeds(command: Sequence[str | Path], *, timeout_seconds: float = 20) -> bool:
    """Whether the command exists, answers in time and exits with 0."""
    try:
        run(command, timeout_seconds=timeout_seconds)
    except ClusterError:
        return False
    return True
