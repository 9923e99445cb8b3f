"""Locks between processes, and the supervisor that runs the servers of a plan."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster import locks
from tests.cluster.keeper import SUPERVISE
from tests.cluster.ports import free_ports

SHELL = "/bin/sh"


def eventually(is_so: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_so()


def supervisor(
    folder: Path, script: str, *, remove: str | None = None, after: tuple[str, int] | None = None
) -> subprocess.Popen[bytes]:
    """Supervising one server, a shell that runs the script."""
    plan = {
        "setup": [["touch", str(folder / "prepared")]],
        "servers": [{"name": "server", "command": [SHELL, "-c", script], "after": after}],
        "logs": str(folder),
        "env": {"PATH": "/usr/bin:/bin"},
        "remove": remove,
    }
    process = subprocess.Popen(
        [sys.executable, str(SUPERVISE)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan).encode() + b"\n")
    process.stdin.flush()
    return process


def test_a_second_holder_waits_and_says_so(tmp_path: Path) -> None:
    said = threading.Event()

    def second() -> None:
        with locks.held(tmp_path / "lock", said.set):
            pass

    waiting = threading.Thread(target=second)
    with locks.held(tmp_path / "lock"):
        waiting.start()
        assert said.wait(10)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_lock_is_seen_from_outside_without_taking_it(tmp_path: Path) -> None:
    with locks.held(tmp_path / "lock"):
        assert locks.is_held(tmp_path / "lock")
    assert not locks.is_held(tmp_path / "lock")
    assert not locks.is_held(tmp_path / "never-there")


def test_free_ports_differ() -> None:
    assert len(set(free_ports(10))) == 10


def test_servers_start_after_the_preparations_and_end_with_the_lifeline(tmp_path: Path) -> None:
    process = supervisor(tmp_path, f"ls {tmp_path}; exec sleep 1000")
    with process:
        log = tmp_path / "server.log"
        assert eventually(lambda: log.exists() and "prepared" in log.read_text())
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_server_that_gives_up_is_started_again(tmp_path: Path) -> None:
    with supervisor(tmp_path, "echo began; sleep 0.1") as process:
        log = tmp_path / "server.log"
        assert eventually(lambda: log.exists() and log.read_text().count("began") > 1)
        assert process.stdin is not None
        process.stdin.close()


def test_a_server_waits_until_the_one_it_needs_listens(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with socket.socket() as needed:
        needed.bind(("127.0.0.1", 0))
        with supervisor(tmp_path, "exec sleep 1000", after=needed.getsockname()) as process:
            assert not eventually(log.exists, seconds=0.5)
            needed.listen()
            assert eventually(log.exists)
            assert process.stdin is not None
            process.stdin.close()


def test_the_supervisor_of_a_control_plane_clears_its_folder_away(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    folder.mkdir()
    with supervisor(folder, "exec sleep 1000", remove=str(folder)) as process:
        assert eventually((folder / "server.log").exists)
        assert process.stdin is not None
        process.stdin.close()
    assert not folder.exists()
