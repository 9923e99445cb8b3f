"""One contender's process: commands in on standard input, figures out on standard output, a line of JSON each.

Nothing but the standard library is imported here, as the frameworks run in an environment without ragops.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

TOP_K = 10
CLIENT_THREADS = 8


class Contender(Protocol):
    def ingest(self) -> None:
        """Take in the whole corpus, and return when it can be searched."""

    def ask(self, question: str) -> int:
        """How many hits a hybrid search has, payload and all."""

    def others(self) -> Sequence[int]:
        """Process ids whose memory counts instead of this process's, where there are any."""


@dataclass(frozen=True)
class Options:
    """`model` is the folder of the dense model, `hub` a folder laid out like the hub's cache, for the frameworks."""

    model: Path
    hub: Path
    corpus: Path
    work: Path
    threads: int

    def chunks(self) -> list[str]:
        return self._corpus()["chunks"]

    def documents(self) -> list[str]:
        return self._corpus()["documents"]

    def _corpus(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(self.corpus.read_text(encoding="utf-8"))
        return found


def run(start: Callable[[Options], Contender]) -> None:
    """The process's main: until its standard input ends."""
    options = _options()
    # What a library prints must not stand between the figures.
    answers, sys.stdout = sys.stdout, sys.stderr
    began = time.perf_counter()
    contender = start(options)
    _say(answers, seconds=time.perf_counter() - began)
    for line in sys.stdin:
        command = json.loads(line)
        _say(answers, **_DO[command.pop("do")](contender, **command))


def _ingest(contender: Contender) -> dict[str, Any]:
    began = time.perf_counter()
    contender.ingest()
    return {"seconds": time.perf_counter() - began}


def _ask(contender: Contender, questions: Sequence[str], clients: int = 1) -> dict[str, Any]:
    """Milliseconds of each question, the clients sharing them out between themselves."""
    times: list[float] = []
    waiting = list(reversed(questions))

    def client() -> None:
        while waiting:
            try:
                question = waiting.pop()
            except IndexError:
                return
            began = time.perf_counter()
            hits = contender.ask(question)
            times.append((time.perf_counter() - began) * 1000)
            assert hits > 0, question

    spent, began = _cpu_seconds(contender), time.perf_counter()
    if clients == 1:
        client()
    else:
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(times) == len(questions), "a client failed"
    seconds = time.perf_counter() - began
    return {"milliseconds": times, "seconds": seconds, "cpu_seconds": _cpu_seconds(contender) - spent}


def _pids(contender: Contender) -> Sequence[int | str]:
    return contender.others() or ["self"]


def _cpu_seconds(contender: Contender) -> float:
    """Of all threads that there are still."""
    nanoseconds = 0
    for thread in (path for pid in _pids(contender) for path in Path(f"/proc/{pid}/task").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            nanoseconds += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9


def _memory(contender: Contender) -> dict[str, Any]:
    pids = _pids(contender)
    return {"peak_mb": sum(_status(pid, "VmHWM") for pid in pids), "mb": sum(_status(pid, "VmRSS") for pid in pids)}


def _call(contender: Contender, name: str, **arguments: Any) -> dict[str, Any]:
    """What only one contender can do."""
    return {"value": getattr(contender, name)(**arguments)}


_DO: dict[str, Callable[..., dict[str, Any]]] = {"ingest": _ingest, "ask": _ask, "memory": _memory, "call": _call}


def _status(pid: int | str, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def _say(stream: Any, **figures: Any) -> None:
    stream.write(json.dumps(figures) + "\n")
    stream.flush()


def _options() -> Options:
    parser = argparse.ArgumentParser()
    for name in ("model", "hub", "corpus", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return Options(**vars(parser.parse_args()))
