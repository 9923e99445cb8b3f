"""Parsing in child processes, because a file may be made to crash, hang or fill the memory of what reads it.

A child has limits on memory, processor time and files, no network, none of our environment (it holds keys), and answers
in JSON, so that a parser that was taken over can hand back nothing but text.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rag_runtime.domain import Passage, PlaceKind
from rag_runtime.errors import DocumentUnreadable, Overloaded
from rag_runtime.loading.parsed import Parsed

# A child's memory only grows.
FILES_OF_A_CHILD = 100
_ENDING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class GuardLimits:
    memory_mb: int = 1024
    processor_seconds: int = 60
    wall_seconds: float = 120.0


class Guard:
    """A `Parse` that may be called from several threads; each call has a child to itself, kept for later ones."""

    def __init__(self, limits: GuardLimits | None = None) -> None:
        self._limits = limits or GuardLimits()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def parse(self, name: str, data: bytes) -> Parsed:
        try:
            return self._parse(name, data)
        except _Killed:
            # By whom is unknown; it may have had nothing to do with this file.
            return self._parse(name, data)

    def _parse(self, name: str, data: bytes) -> Parsed:
        child = self._taken()
        try:
            return child.parse(name, data)
        finally:
            self._keep(child)

    def close(self) -> None:
        """End the children, those that read too: nobody waits for what they read any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.kill()
        for child in idle:
            child.end()

    def _taken(self) -> _Child:
        child = self._idle_child() or _started(self._limits)
        with self._lock:
            self._busy.add(child)
            if not self._closed:
                return child
        self._keep(child)
        raise Overloaded("this replica is stopping: send the documents again")

    def _idle_child(self) -> _Child | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                child = self._idle.pop()
            if child.reusable:
                return child
            child.end()

    def _keep(self, child: _Child) -> None:
        with self._lock:
            self._busy.discard(child)
            if child.reusable and not self._closed:
                self._idle.append(child)
                return
        child.end()


class _Killed(DocumentUnreadable):
    """The child was killed, and not by us."""


def _started(limits: GuardLimits) -> _Child:
    try:
        return _Child(limits)
    except OSError as full:
        raise Overloaded(f"no process can be started to read a file now ({full.strerror}): try again later") from full


class _Child:
    def __init__(self, limits: GuardLimits) -> None:
        self._limits = limits
        self._files = 0
        self._late = False
        # Only what finds our own modules.
        environment = {"PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)}
        numbers = (os.getpid(), limits.memory_mb, limits.processor_seconds)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rag_runtime.loading.child", *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )

    @property
    def reusable(self) -> bool:
        return self._process.poll() is None and self._files < FILES_OF_A_CHILD

    def parse(self, name: str, data: bytes) -> Parsed:
        self._files += 1
        timer = threading.Timer(self._limits.wall_seconds, self._stop)
        timer.start()
        try:
            answer = self._ask(name, data)
        finally:
            timer.cancel()
        if "unreadable" in answer:
            raise DocumentUnreadable(str(answer["unreadable"]))
        return _to_parsed(answer)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _stop(self) -> None:
        self._late = True
        self._process.kill()

    def _ask(self, name: str, data: bytes) -> dict[str, object]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both were asked for
        try:
            stdin.write(f"{name} {len(data)}\n".encode())
            stdin.write(data)
            stdin.flush()
            return _read_answer(stdout)
        except (OSError, EOFError) as gone:
            raise self._end_of_child() from gone

    def _end_of_child(self) -> DocumentUnreadable:
        try:
            # It has closed its pipes, so it is about to end by itself.
            status = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status == -signal.SIGXCPU:
            return DocumentUnreadable(f"reading it took more than {self._limits.processor_seconds} s of processor time")
        if self._late:
            return DocumentUnreadable(f"reading it took more than {self._limits.wall_seconds:g} s")
        if status == -signal.SIGKILL:
            return _Killed("what reads it was killed twice: it may take more memory than there is")
        return DocumentUnreadable(
            f"what reads it broke down ({_name_of(status)}): it is damaged, or too big when unpacked"
        )


def _name_of(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _read_answer(stdout: IO[bytes]) -> dict[str, object]:
    size = stdout.readline()
    if not size.endswith(b"\n"):
        raise EOFError
    body = stdout.read(int(size))
    if len(body) < int(size):
        raise EOFError
    answer: dict[str, object] = json.loads(body)
    return answer


def _to_parsed(answer: dict[str, object]) -> Parsed:
    passages, kind = answer["passages"], answer["place_kind"]
    warnings, metadata = answer["warnings"], answer["metadata"]
    assert isinstance(passages, list) and isinstance(warnings, list)  # noqa: S101, PT018 - `child` wrote them
    assert isinstance(metadata, dict)  # noqa: S101
    return Parsed(
        tuple(Passage(text, place) for text, place in passages),
        None if kind is None else PlaceKind(str(kind)),
        tuple(warnings),
        metadata,
    )
