"""Locks between processes, and the supervisor that runs the servers of a plan."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import locks
from tests.cluster.errors import ClusterError
from tests.cluster.keeper import SUPERVISE
from tests.cluster.keeping import State
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


def test_a_lock_in_a_folder_of_all_is_one_for_every_user(tmp_path: Path) -> None:
    """The first to come makes the file, whatever it usually keeps from others; for the rest, reading it is enough."""
    before = os.umask(0o077)
    try:
        with locks.held(tmp_path / "lock"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)
    (tmp_path / "lock").chmod(0o444)
    assert not locks.is_held(tmp_path / "lock")


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), locks.held(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("mode", "chosen"), [(0o777, True), (0o755, False)])
def test_all_users_agree_on_the_folder_of_locks(tmp_path: Path, mode: int, chosen: bool) -> None:
    tmp_path.chmod(mode)
    assert (locks.machine_wide("demo", tmp_path).parent == tmp_path) is chosen


def test_the_lock_of_a_cluster_is_the_machines_and_not_the_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = State("demo")
    known = (here.folder, here.running, here.in_use)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (here.folder != known[0], here.running, here.in_use) == (True, *known[1:])


def test_a_cluster_that_another_keeps_is_named_after_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(State, "running", tmp_path / "lock")
    with locks.held(tmp_path / "lock"), pytest.raises(ClusterError, match="demo already runs on this machine"):
        State("demo").wait_for_end(timeout_seconds=0)


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
