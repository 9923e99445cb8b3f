"""API servers without nodes: quick, several at once, and gone with their block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

import pytest

from tests.cluster import ClusterError, Image, control_plane, paths
from tests.e2e.ctrl_c import HEARS_CTRL_C

pytestmark = pytest.mark.api


def test_two_run_at_once_and_know_nothing_of_each_other() -> None:
    with control_plane() as one, control_plane() as other:
        one.kubectl("create", "namespace", "only-here")
        assert "only-here" in one.kubectl("get", "namespaces")
        assert "only-here" not in other.kubectl("get", "namespaces")


def test_the_controller_manager_is_there_when_asked_for() -> None:
    """Without it nothing makes a namespace's default account."""
    with control_plane(controller_manager=True) as plane:
        plane.kubectl("create", "namespace", "here")
        plane.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "here", "--timeout=30s")


def test_requests_are_on_record_when_asked_for() -> None:
    with control_plane(audit=True) as plane:
        plane.kubectl("get", "configmaps", "-A")
        assert plane.audit_log is not None
        assert '"resource":"configmaps"' in plane.audit_log.read_text()


def test_images_have_nowhere_to_go() -> None:
    with control_plane() as plane, pytest.raises(ClusterError, match="no node"):
        plane.load([Image("any", "localhost/any:1", Path("any.tar"))])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_its_owner(number: signal.Signals) -> None:
    program = "from tests.cluster import control_plane as c\nwith c() as p: print(p.kubeconfig, flush=True); input()"
    with subprocess.Popen(
        [*HEARS_CTRL_C, sys.executable, "-c", program],
        cwd=paths.REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        folder = Path(cast(IO[str], owner.stdout).readline().strip()).parent
        os.kill(owner.pid, number)
        assert owner.wait(30) != 0
    deadline = time.monotonic() + 10
    while (processes_of(folder) or folder.exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder) == []
    assert not folder.exists()


def processes_of(folder: Path) -> list[str]:
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words:
            found.append(words.decode())
    return found
