"""What reads a file can neither reach a network nor start a program, whatever takes it over."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rag_runtime.loading import confine

TRY = """
import os, socket, subprocess, threading
from rag_runtime.loading.confine import confine
assert confine()
def attempt(call):
    try: call()
    except PermissionError: return "refused"
    return "done"
def in_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(attempt(socket.socket)))
    thread.start(); thread.join()
    return found[0]
print(attempt(socket.socket), attempt(lambda: socket.socket(socket.AF_INET6)), attempt(socket.socketpair))
print(in_a_thread(), attempt(lambda: subprocess.run(["/bin/true"])), attempt(lambda: open("/etc/hostname").close()))
"""


def test_no_socket_and_no_program_but_files_are_read() -> None:
    done = subprocess.run([sys.executable, "-c", TRY], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused"] * 5 + ["done"], done.stderr


def test_an_unknown_processor_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert confine.confine() is False
