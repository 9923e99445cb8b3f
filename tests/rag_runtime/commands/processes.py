"""`rag-runtime serve` as users start it: a process of its own, on a free port of loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[3]
PASSED_ON = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "TMPDIR")


def environment(**settings: str) -> dict[str, str]:
    """Only what a process needs to run: no setting leaks in from the machine."""
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    path = os.pathsep.join([str(ROOT), *filter(None, [own.get("PYTHONPATH")])])
    return {**own, "PYTHONPATH": path, "RATE_LIMIT_REQUESTS": "0", **settings}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rag_runtime", *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass
class Serving:
    process: subprocess.Popen[str]
    data_dir: Path
    lines: list[str] = field(default_factory=list)
    port: int = 0
    listening: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if '"listening"' in line:
                self.port = json.loads(line)["port"]
                self.listening.set()

    def wait_ready(self, seconds: float = 60.0, *, client: httpx.Client | None = None) -> None:
        """`client` where the service is elsewhere than `url` says, or where it may not listen yet."""
        ask = client.get if client else httpx.get
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.ConnectError):
                if ask("/ready" if client else f"{self.url}/ready").status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError("".join(self.lines))

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def serving(
    data_dir: Path, *, arguments: Sequence[str] = ("--port", "0"), quiet: bool = False, **settings: str
) -> Iterator[Serving]:
    """Start it, wait until it says that it listens unless it is a quiet one, and leave nothing behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rag_runtime", "serve", *arguments],
        env=environment(DATA_DIR=str(data_dir / "data"), MODEL_CACHE_DIR=str(data_dir / "models"), **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = Serving(process, data_dir)
    reader = threading.Thread(target=started.read)
    reader.start()
    try:
        assert quiet or started.listening.wait(60), "".join(started.lines)
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()
