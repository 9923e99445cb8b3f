"""ragops as its users meet it: a `rag-runtime serve` process with the embedded store, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runtime.contender import TOP_K, Options, run

PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
START_SECONDS = 120.0


class Connection:
    """A kept connection and no more of HTTP than the service's own answers need, to cost next to nothing itself."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._socket.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        return self._receive()

    def _receive(self) -> tuple[int, bytes]:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        lines = received[:end].lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(received) < end + 4 + length:
            received += self._more()
        return int(lines[0][9:12]), received[end + 4 :]

    def _more(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the service closed the connection")
        return data


class Process:
    """The serving process, from its start until it is ready, and to its end."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rag_runtime", "serve", "--port", "0"],
            env={**own, "DATA_DIR": str(data_dir), "RATE_LIMIT_REQUESTS": "0", **settings},
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
        self.port = self._read_port()
        # Its log is read and let go, as a cluster would.
        threading.Thread(target=self._drop_lines, daemon=True).start()
        self._wait_ready()

    @property
    def pids(self) -> tuple[int, ...]:
        """Its own, and that of the store."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        return (pid, *(int(child) for child in children if "edge.worker" in _command(child)))

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def _read_port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if '"listening"' in line:
                return int(json.loads(line)["port"])
        raise RuntimeError("rag-runtime ended before it listened; its last words are above")

    def _drop_lines(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        connection = Connection(self.port)
        while connection.send("GET", "/ready")[0] != 200:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("rag-runtime did not become ready; its last words are above")
            time.sleep(0.005)


class Service:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._process = self._start()
        self._own = threading.local()

    def _start(self) -> Process:
        work = self._options.work
        models = {"EMBEDDING_MODEL": str(self._options.model), "MODEL_CACHE_DIR": str(work / "models")}
        return Process(work / "data", **models)

    def ingest(self) -> None:
        documents = [{"source": f"{n}.txt", "text": text} for n, text in enumerate(self._options.documents())]
        status, body = self._connection().send("POST", "/v1/documents?wait=true", {"documents": documents})
        job = json.loads(body)
        assert status == 200, body
        assert job["status"] == "succeeded", job
        stored = sum(file["chunks"] for file in job["files"])
        assert stored == len(self._options.chunks()), f"{stored} chunks, not those that the others have"

    def ask(self, question: str) -> int:
        # Nobody else's hits say where they stood on each side.
        asked = {"query": question, "top_k": TOP_K, "explain": False}
        status, body = self._connection().send("POST", "/v1/retrieve", asked)
        assert status == 200, body
        return len(json.loads(body)["hits"])

    def others(self) -> Sequence[int]:
        return self._process.pids

    def times(self, method: str, path: str, bodies: Sequence[object]) -> list[float]:
        """Milliseconds of each request, one after the other."""
        connection, found = self._connection(), []
        for body in bodies:
            began = time.perf_counter()
            status, _ = connection.send(method, path, body)
            found.append((time.perf_counter() - began) * 1000)
            assert status == 200, path
        return found

    def restart(self) -> float:
        """Seconds from its start until it is ready, with all its chunks."""
        self._process.end()
        self._own = threading.local()
        began = time.perf_counter()
        self._process = self._start()
        return time.perf_counter() - began

    def end(self) -> None:
        self._process.end()

    def _connection(self) -> Connection:
        """Each client thread's own."""
        if not hasattr(self._own, "connection"):
            self._own.connection = Connection(self._process.port)
        connection: Connection = self._own.connection
        return connection


def _command(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def main() -> None:
    started: list[Service] = []

    def start(options: Options) -> Any:
        started.append(Service(options))
        return started[0]

    try:
        run(start)
    finally:
        for service in started:
            service.end()


if __name__ == "__main__":
    main()
