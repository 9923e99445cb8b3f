"""Run the servers of a plan until standard input closes.

Started by its file name, so it imports nothing but the standard library. As PID 1 of a namespace it also reaps orphans,
and its end is the end of every process in there. As an ordinary process it ends what it started.

Protocol: it writes one line when it runs, then reads the plan as one line of JSON:
    {"setup": [words], "servers": [{"name": "", "command": words, "after": [address, port] or null}],
     "logs": folder, "env": {}, "remove": folder or null}
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESTART_SECONDS = 1.0
LISTENING_SECONDS = 0.1
LIFELINE = 0


class Supervisor:
    """Keeps every server of a plan running.

    One that needs another waits until that one listens: started without, it would try again ever more seldom.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._env: dict[str, str] = plan["env"]
        self._logs = Path(plan["logs"])
        self._due: list[tuple[float, dict[str, Any]]] = [(0.0, server) for server in plan["servers"]]
        self._running: dict[int, dict[str, Any]] = {}

    def run(self) -> None:
        wake = _wake_on_child_exit()
        while True:
            self._start_due()
            pause = min((at for at, _ in self._due), default=None)
            timeout = None if pause is None else max(0.0, pause - time.monotonic())
            readable, _, _ = select.select([LIFELINE, wake], [], [], timeout)
            if LIFELINE in readable and not os.read(LIFELINE, 4096):
                return
            if wake in readable:
                os.read(wake, 4096)
            self._reap()

    def end(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        for pid in self._running:
            os.waitpid(pid, 0)

    def _start_due(self) -> None:
        now = time.monotonic()
        ripe = [server for at, server in self._due if at <= now]
        self._due = [(at, server) for at, server in self._due if at > now]
        for server in ripe:
            if server["after"] is None or _listens(*server["after"]):
                self._running[self._start(server)] = server
            else:
                self._due.append((now + LISTENING_SECONDS, server))

    def _start(self, server: dict[str, Any]) -> int:
        command: list[str] = server["command"]
        log = str(self._logs / f"{server['name']}.log")
        # Python ignores SIGPIPE, which containers must not inherit.
        return os.posix_spawn(
            command[0],
            command,
            self._env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            server = self._running.pop(pid, None)
            if server is not None:
                code = os.waitstatus_to_exitcode(status)
                print(f"{server['name']} ended with {code}, starting it again", file=sys.stderr, flush=True)
                self._due.append((time.monotonic() + RESTART_SECONDS, server))


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def _wake_on_child_exit() -> int:
    """A descriptor that becomes readable when a child ends."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read


def _read_line() -> bytes:
    """One line, unbuffered: the descriptor is watched for its end afterwards."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(LIFELINE, 65536)
        if not more:
            sys.exit("the plan did not arrive")
        line += more
    return line


def main() -> None:
    print("running", flush=True)
    plan = json.loads(_read_line())
    for words in plan["setup"]:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, env=plan["env"])
    supervisor = Supervisor(plan)
    try:
        supervisor.run()
    finally:
        if os.getpid() != 1:
            supervisor.end()
        if plan["remove"]:
            shutil.rmtree(plan["remove"], ignore_errors=True)


if __name__ == "__main__":
    main()
