"""Where `rag-runtime ingest` takes its files: a service by HTTP, or the same pipelines in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import httpx

from rag_runtime.api.metrics import Metrics
from rag_runtime.api.schemas import JobModel
from rag_runtime.app import Ports, build_service
from rag_runtime.errors import RequestError, Unavailable
from rag_runtime.ingest import Upload
from rag_runtime.service import Service
from rag_runtime.settings import Settings

POLL_SECONDS = 0.3
# How long a service that is busy, starting or away for a moment is asked again.
PATIENCE_SECONDS = 120.0
UNREACHABLE_SECONDS = 10.0
HEAD_BYTES = 1024

# As `GET /v1/jobs/{id}` shows it.
Job = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LocalFile:
    path: Path
    source: str


class Refused(Exception):
    """The files were not taken, which may be the fault of one of them; the message says why."""


class Target(Protocol):
    def send(self, files: Sequence[LocalFile]) -> str:
        """The id of the job that works on them. Raises Refused."""

    def job(self, job_id: str) -> Job:
        """As it is a moment later."""


class Remote:
    """A running service."""

    def __init__(self, url: str, api_key: str | None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(60.0, read=300.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, files: Sequence[LocalFile]) -> str:
        response = self._patiently(lambda: self._post(files))
        if response.status_code in (401, 403):
            raise RequestError(f"{_detail(response)} (--api-key, or RAG_API_KEY in the environment)")
        if response.is_error:
            raise Refused(_detail(response))
        return str(response.json()["job_id"])

    def job(self, job_id: str) -> Job:
        time.sleep(POLL_SECONDS)
        response = self._patiently(lambda: self._client.get(f"/v1/jobs/{job_id}"))
        if response.is_error:
            raise Unavailable(f"the job {job_id} cannot be followed: {_detail(response)}")
        job: Job = response.json()
        return job

    def _post(self, files: Sequence[LocalFile]) -> httpx.Response:
        with ExitStack() as opened:
            parts = [("files", (file.source, opened.enter_context(file.path.open("rb")))) for file in files]
            return self._client.post("/v1/documents", files=parts)

    def _patiently(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask again while the service says 429 or 503, or cannot be reached, for a while."""
        begin = time.monotonic()
        while True:
            try:
                response = call()
            except httpx.TransportError as broken:
                if time.monotonic() > begin + UNREACHABLE_SECONDS:
                    raise Unavailable(f"{self._client.base_url} cannot be reached: {broken}") from broken
                time.sleep(1.0)
                continue
            if response.status_code not in (429, 503) or time.monotonic() > begin + PATIENCE_SECONDS:
                return response
            time.sleep(min(30.0, float(response.headers.get("Retry-After", "1"))))


class InProcess:
    """The store that the environment names, by the pipelines that a service would run; nobody else may have it open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.Runner()

    def __enter__(self) -> Self:
        self._service = build_service(self._settings, Metrics(), Ports())
        try:
            self._loop.run(_start(self._service))
        except BaseException:
            self._loop.run(_end(self._service))
            self._loop.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(_stop(self._service))
        self._loop.close()

    def send(self, files: Sequence[LocalFile]) -> str:
        most = self._settings.max_upload_mb
        large = [file.source for file in files if file.path.stat().st_size > self._settings.max_upload_bytes]
        if large:
            raise Refused(f"{large[0]} is larger than MAX_UPLOAD_MB={most}: split it, or raise the setting")
        try:
            return self._loop.run(self._service.ingester.submit([_upload(file) for file in files])).id
        except RequestError as refused:
            raise Refused(str(refused)) from refused

    def job(self, job_id: str) -> Job:
        # Work goes on in here only, and while the next files are read.
        job = self._loop.run(self._service.runner.wait(job_id, seconds=POLL_SECONDS))
        return JobModel.of(job).model_dump()


async def _start(service: Service) -> None:
    await service.store.open()
    service.runner.start()


async def _stop(service: Service) -> None:
    await service.runner.stop()
    await service.store.close()
    await _end(service)


async def _end(service: Service) -> None:
    await service.close_others()


def _upload(file: LocalFile) -> Upload:
    try:
        with file.path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError as unreadable:
        raise RequestError(f"{file.path} cannot be read: {unreadable.strerror}") from unreadable
    return Upload(file.source, head, file.path.read_bytes)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}"
