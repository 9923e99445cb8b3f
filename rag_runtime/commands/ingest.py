"""Take files to a service or into a store, wait for the jobs, and say what became of each file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePath

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rag_runtime.commands.targets import Job, LocalFile, Refused, Target
from rag_runtime.errors import RequestError

FILES_PER_REQUEST = 64
BYTES_PER_REQUEST = 32 * 1024 * 1024
# One is worked on while the next is sent.
JOBS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    source: str
    status: str
    chunks: int = 0
    error: str = ""


def ingest(paths: Sequence[str], target: AbstractContextManager[Target]) -> int:
    """One line for each file on standard output; 0 when every file is stored or unchanged, else 1."""
    files = find_files(paths)
    failed = 0
    with target as opened:
        for outcome in _send_all(opened, files, Console(stderr=True)):
            print(_line(outcome), flush=True)  # noqa: T201
            failed += outcome.status == "failed"
    return int(failed > 0)


def find_files(paths: Sequence[str]) -> list[LocalFile]:
    """Files of files, folders and globs, each with the name it is known by: relative, and the same in every run."""
    found: dict[str, LocalFile] = {}
    for given in paths:
        for file in _expand(given):
            other = found.setdefault(file.source, file)
            if not other.path.samefile(file.path):
                raise RequestError(f"{other.path} and {file.path} would both be {file.source!r}: send them apart")
    if not found:
        raise RequestError(f"no files are there: {', '.join(paths)}")
    return list(found.values())


def _expand(given: str) -> Iterator[LocalFile]:
    matches = [given] if Path(given).exists() else sorted(_matching(given))
    if not matches:
        raise RequestError(f"{given} does not exist")
    for match in map(Path, matches):
        if match.is_dir():
            inside = sorted(path for path in match.rglob("*") if path.is_file() and not _is_hidden(path, match))
            base = match.resolve().name if _leaves(match) else match.as_posix()
            yield from (LocalFile(path, _joined(base, path.relative_to(match))) for path in inside)
        else:
            yield LocalFile(match, match.name if _leaves(match) else match.as_posix())


def _matching(pattern: str) -> Iterator[str]:
    """Paths of a glob that the shell left alone."""
    start = Path(pattern).anchor or "."
    return (path.as_posix() for path in Path(start).glob(pattern.removeprefix(start)))


def _leaves(path: Path) -> bool:
    """Whether a path begins outside the current folder, so that it says nothing but where this machine keeps it."""
    return path.is_absolute() or ".." in path.parts


def _joined(base: str, inside: PurePath) -> str:
    return inside.as_posix() if base in ("", ".") else f"{base}/{inside.as_posix()}"


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _send_all(target: Target, files: Sequence[LocalFile], console: Console) -> Iterator[Outcome]:
    """The next files are sent while the last ones are worked on."""
    words = "{task.completed:.0f}/{task.total:.0f} files, {task.fields[chunks]} chunks"
    with Progress(BarColumn(), TextColumn(words), TimeElapsedColumn(), console=console, redirect_stdout=False) as bar:
        progress = _Progress(bar, len(files))
        jobs: deque[str] = deque()
        for batch in _batches(files):
            sent, refused = _send(target, batch)
            jobs += sent
            yield from map(progress.count, refused)
            while len(jobs) >= JOBS_AT_ONCE:
                yield from _finished(target, jobs.popleft(), progress)
        for job_id in jobs:
            yield from _finished(target, job_id, progress)


def _send(target: Target, batch: Sequence[LocalFile]) -> tuple[list[str], list[Outcome]]:
    """The jobs, and the files that were refused. One can make the whole request be: only that one should fail."""
    try:
        return [target.send(batch)], []
    except Refused as refused:
        if len(batch) == 1:
            return [], [Outcome(batch[0].source, "failed", error=str(refused))]
    middle = len(batch) // 2
    halves = [_send(target, half) for half in (batch[:middle], batch[middle:])]
    return [job for jobs, _ in halves for job in jobs], [outcome for _, refused in halves for outcome in refused]


def _finished(target: Target, job_id: str, progress: _Progress) -> Iterator[Outcome]:
    while (job := target.job(job_id))["status"] in ("queued", "running"):
        progress.show(job)
    yield from map(progress.count, _outcomes(job))


class _Progress:
    """A bar of files, that of a job that runs counted by its share, with all chunks that are stored so far."""

    def __init__(self, bar: Progress, files: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=files, chunks=0)
        self._files = self._chunks = 0

    def show(self, job: Job) -> None:
        stored = sum(file["chunks"] for file in job["files"])
        self._bar.update(
            self._task, completed=self._files + job["progress"] * len(job["files"]), chunks=self._chunks + stored
        )

    def count(self, outcome: Outcome) -> Outcome:
        self._files += 1
        self._chunks += outcome.chunks
        self._bar.update(self._task, completed=self._files, chunks=self._chunks)
        return outcome


def _batches(files: Sequence[LocalFile]) -> Iterator[list[LocalFile]]:
    batch: list[LocalFile] = []
    size = 0
    for file in files:
        weight = file.path.stat().st_size
        if batch and (len(batch) == FILES_PER_REQUEST or size + weight > BYTES_PER_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += weight
    yield batch


def _outcomes(job: Job) -> list[Outcome]:
    return [
        Outcome(file["source"], file["status"], file["chunks"], (file["error"] or {}).get("detail", ""))
        for file in job["files"]
    ]


def _line(outcome: Outcome) -> str:
    shown = f"{outcome.status:<9} {outcome.chunks:>6}  {outcome.source}"
    return f"{shown}: {outcome.error}" if outcome.error else shown
