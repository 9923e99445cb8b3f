"""Say what is being done and for how long, so that a first run of several minutes never looks stuck."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 15.0
_printing = threading.Lock()


def say(line: str) -> None:
    """Print one line to standard error, whole even when several threads speak."""
    with _printing:
        print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, repeat the elapsed time while it lasts, and say at the end how long it took."""
    began = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            say(f"{what} ... still working after {time.monotonic() - began:.0f} s")

    say(f"{what} ...")
    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        done.set()
        heart.join()
        say(f"{what} ... {outcome} {time.monotonic() - began:.1f} s")
