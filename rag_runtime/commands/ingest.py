"""Send files to a running service, wait for its jobs, and say what became of each file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rag_runtime.errors import RequestError, Unavailable

FILES_PER_REQUEST = 16
BYTES_PER_REQUEST = 32 * 1024 * 1024
POLL_SECONDS = 0.5
# How long a service that is busy, starting or away for a moment is asked again.
PATIENCE_SECONDS = 120.0
UNREACHABLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LocalFile:
    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    source: str
    status: str
    chunks: int = 0
    error: str = ""


def ingest(paths: Sequence[str], *, url: str, api_key: str | None) -> int:
    """0 when every file is stored or unchanged, else 1."""
    files = find_files(paths)
    console = Console(stderr=True)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(60.0, read=300.0)) as client:
        outcomes = _send_all(client, files, console)
    _show(outcomes, Console())
    return int(any(outcome.status == "failed" for outcome in outcomes))


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
        elif not match.is_file():
            raise RequestError(f"{match} is neither a file nor a folder")
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


def _send_all(client: httpx.Client, files: Sequence[LocalFile], console: Console) -> list[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes: list[Outcome] = []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("ingesting", total=len(files))
        for batch in _batches(files):
            progress.update(task, description=escape(batch[0].source[-40:]))
            outcomes += _send(client, batch)
            progress.update(task, completed=len(outcomes))
    return outcomes


def _batches(files: Sequence[LocalFile]) -> Iterator[list[LocalFile]]:
    batch: list[LocalFile] = []
    size = 0
    for file in files:
        # One that is gone by now is told when it is opened.
        weight = file.path.stat().st_size if file.path.exists() else 0
        if batch and (len(batch) == FILES_PER_REQUEST or size + weight > BYTES_PER_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += weight
    yield batch


def _send(client: httpx.Client, batch: Sequence[LocalFile]) -> list[Outcome]:
    try:
        response = _post(client, batch)
    except OSError as unreadable:
        if len(batch) > 1:
            return [outcome for file in batch for outcome in _send(client, [file])]
        return [Outcome(batch[0].source, "failed", error=f"it cannot be read: {unreadable.strerror}")]
    if response.status_code in (401, 403):
        raise RequestError(f"{_detail(response)} (--api-key, or RAG_API_KEY in the environment)")
    if response.is_error and len(batch) > 1:
        # One file can make the service refuse the whole request: only that one should fail.
        return [outcome for file in batch for outcome in _send(client, [file])]
    if response.is_error:
        return [Outcome(batch[0].source, "failed", error=_detail(response))]
    return _outcomes(_finished(client, _job_id(response)))


def _job_id(response: httpx.Response) -> str:
    try:
        return str(response.json()["job_id"])
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"{response.url} answers unlike a ragops runtime: check --url") from None


def _post(client: httpx.Client, batch: Sequence[LocalFile]) -> httpx.Response:
    def post() -> httpx.Response:
        with ExitStack() as opened:
            parts = [("files", (file.source, opened.enter_context(file.path.open("rb")))) for file in batch]
            return client.post("/v1/documents", files=parts)

    return _patiently(post, client)


def _finished(client: httpx.Client, job_id: str) -> Mapping[str, Any]:
    while True:
        response = _patiently(lambda: client.get(f"/v1/jobs/{job_id}"), client)
        if response.is_error:
            raise Unavailable(f"the job {job_id} cannot be followed: {_detail(response)}")
        job: Mapping[str, Any] = response.json()
        if job["status"] not in ("queued", "running"):
            return job
        time.sleep(POLL_SECONDS)


def _patiently(call: Callable[[], httpx.Response], client: httpx.Client) -> httpx.Response:
    """Ask again while the service says 429 or 503, or cannot be reached, for a while."""
    begin = time.monotonic()
    while True:
        try:
            response = call()
        except httpx.TransportError as broken:
            if time.monotonic() > begin + UNREACHABLE_SECONDS:
                raise Unavailable(f"{client.base_url} cannot be reached: {broken}") from broken
            time.sleep(1.0)
            continue
        if response.status_code not in (429, 503) or time.monotonic() > begin + PATIENCE_SECONDS:
            return response
        time.sleep(min(30.0, float(response.headers.get("Retry-After", "1"))))


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}"


def _outcomes(job: Mapping[str, Any]) -> list[Outcome]:
    return [
        Outcome(file["source"], file["status"], file["chunks"], (file["error"] or {}).get("detail", ""))
        for file in job["files"]
    ]


def _show(outcomes: Sequence[Outcome], console: Console) -> None:
    table = Table("source", "status", "chunks", "error")
    for outcome in outcomes:
        table.add_row(Text(outcome.source), outcome.status, str(outcome.chunks), Text(outcome.error))
    console.print(table)
