"""Locks between processes. The kernel drops them with the process that holds them, so none is ever stale."""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY_FOLDER, FOLDER_OF_ALL = Path("/run/lock"), Path("/tmp")


def machine_wide(name: str, memory_folder: Path = MEMORY_FOLDER) -> Path:
    """The lock of a thing that this machine has once, such as a link: the same file for every user and every cache.

    A folder in memory is best, for nobody tidies away there by age what is still in use; where not everybody may
    write to it, everybody takes the other.
    """
    in_memory = memory_folder.is_dir() and memory_folder.stat().st_mode & stat.S_IWOTH
    return (memory_folder if in_memory else FOLDER_OF_ALL) / f"ragops-{name}.lock"


@contextmanager
def held(path: Path, when_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock, calling `when_waiting` once if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _open(path)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_held(path: Path) -> bool:
    if not path.exists():
        return False
    lock = _open(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _open(path: Path) -> int:
    """Any user's file will do, and reading it is enough; in a folder of all, no link of somebody's is followed.

    Only a file that is not there is created: the kernel refuses O_CREAT for another user's file in such a folder
    (https://www.kernel.org/doc/html/latest/admin-guide/sysctl/fs.html#protected-regular).
    """
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            _create(path)


def _create(path: Path) -> None:
    try:
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDONLY | os.O_NOFOLLOW, 0o644)
    except FileExistsError:
        return
    os.fchmod(made, 0o644)
    os.close(made)
