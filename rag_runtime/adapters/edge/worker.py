"""The store's process: requests from a socket, one at a time, and one commit for those that came together.

    python -m rag_runtime.adapters.edge.worker FD

It ends when the other end of the socket does, and it alone decides when to flush and to optimize.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from rag_runtime.adapters.edge.frames import Reply, Request, Unpacker, pack
from rag_runtime.adapters.edge.opening import Opening
from rag_runtime.adapters.edge.store import WRITES, Store
from rag_runtime.errors import RagError, StoreUnavailable

# Quiet for this long, and a flush is unlikely to stand in anybody's way.
FLUSH_WHEN_IDLE_SECONDS = 1.0
# Nothing written for this long, and what would be optimized stays as it is for a while.
OPTIMIZE_WHEN_IDLE_SECONDS = 5.0
_CHUNK = 1 << 20


class Clock:
    """When to tidy up. Times are arguments, so that it can be tested without waiting."""

    def __init__(self, flush_interval_sec: float) -> None:
        self._interval = flush_interval_sec
        self._last_request = self._last_write = 0.0
        self._unflushed_since: float | None = None
        self._unoptimized = True

    def note(self, now: float, *, wrote: bool) -> None:
        self._last_request = now
        if wrote:
            self._last_write = now
            self._unoptimized = True
            self._unflushed_since = self._unflushed_since or now

    def flushed(self, *, optimized: bool) -> None:
        self._unflushed_since = None
        self._unoptimized = self._unoptimized and not optimized

    def flush_due(self) -> float | None:
        """The moment from which on a flush is due: when it is quiet, and at the latest after the interval."""
        if self._unflushed_since is None:
            return None
        return min(self._last_request + FLUSH_WHEN_IDLE_SECONDS, self._unflushed_since + self._interval)

    def optimize_due(self) -> float | None:
        """When nothing has been written for a while; reads may never pause."""
        return self._last_write + OPTIMIZE_WHEN_IDLE_SECONDS if self._unoptimized else None

    def wait(self, now: float) -> float | None:
        """Seconds until something is due; None when nothing is."""
        due = [moment for moment in (self.flush_due(), self.optimize_due()) if moment is not None]
        return max(0.0, min(due) - now) if due else None


class Worker:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unpacker = Unpacker()

    def run(self) -> None:
        requests = self._receive()
        if not requests:
            return
        opening: Opening = requests[0].arguments[0]
        try:
            store = _open(opening)
        except RagError as refusal:
            self._send([Reply(requests[0].id, error=refusal)])
            return
        self._send([Reply(requests[0].id)])
        self._serve(store, Clock(opening.tuning.flush_interval_sec))
        store.close()

    def _serve(self, store: Store, clock: Clock) -> None:
        while True:
            ready = self._ready(store, clock.wait(time.monotonic()))
            if store.rebuild in ready:
                self._end_rebuild(store)
                continue
            if not ready:
                self._tidy(store, clock)
                continue
            requests = self._receive()
            if not requests:
                return
            self._answer(store, requests)
            clock.note(time.monotonic(), wrote=any(request.method in WRITES for request in requests))
            if clock.wait(time.monotonic()) == 0.0:
                self._tidy(store, clock)

    def _answer(self, store: Store, requests: Sequence[Request]) -> None:
        """Reads are answered at once; writes together, when one commit has made them durable."""
        written: list[Reply] = []
        for request in requests:
            reply = _reply(store, request)
            if request.method in WRITES and reply.error is None:
                written.append(reply)
            else:
                self._send([reply])
        if not written:
            return
        try:
            store.commit()
        except RagError as failure:
            # What reached the disk is unknown now, so memory is not to be trusted either: start again from the log.
            self._send([Reply(reply.id, error=failure) for reply in written])
            sys.exit(1)
        self._send(written)

    def _tidy(self, store: Store, clock: Clock) -> None:
        optimize_due = clock.optimize_due()
        optimize = optimize_due is not None and optimize_due <= time.monotonic()
        try:
            store.tidy(optimize=optimize)
        except StoreUnavailable as failure:
            # Nothing that was acknowledged is at stake: it is in the log, which the next start replays.
            print(f"embedded store: {failure}", file=sys.stderr)  # noqa: T201
            sys.exit(1)
        clock.flushed(optimized=optimize)

    def _end_rebuild(self, store: Store) -> None:
        try:
            store.end_rebuild()
        except (RagError, OSError) as failure:
            # The next start goes back to what it was to replace.
            print(f"embedded store: {failure}", file=sys.stderr)  # noqa: T201
            sys.exit(1)

    def _ready(self, store: Store, seconds: float | None) -> list[object]:
        awaited: list[Any] = [self._connection, store.rebuild] if store.rebuild else [self._connection]
        return select.select(awaited, [], [], seconds)[0]

    def _readable(self, seconds: float | None) -> bool:
        return bool(select.select([self._connection], [], [], seconds)[0])

    def _receive(self) -> list[Request]:
        """All whole requests that have come in by now, at least one; none when the other end is gone."""
        requests: list[Request] = []
        while not requests or self._readable(0):
            data = self._connection.recv(_CHUNK)
            if not data:
                return []
            requests += [Request(*message) for message in self._unpacker.feed(data)]
        return requests

    def _send(self, replies: Sequence[Reply]) -> None:
        self._connection.sendall(b"".join(pack(reply) for reply in replies))


def _open(opening: Opening) -> Store:
    try:
        return Store(opening)
    except OSError as problem:
        raise StoreUnavailable(f"The embedded store in {opening.data_dir} cannot be opened: {problem}") from problem


def _reply(store: Store, request: Request) -> Reply:
    try:
        return Reply(request.id, store.call(request.method, request.arguments))
    except RagError as refusal:
        return Reply(request.id, error=refusal)


def main() -> None:
    # Ctrl-C goes to the whole group; the serving process decides when the store closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            Worker(connection).run()
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(0)


if __name__ == "__main__":
    main()
