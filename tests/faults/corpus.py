"""Documents that make a known set of chunks, sent in requests of which each is acknowledged or not."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import qdrant_edge as edge

from tests.faults.table import is_short
from tests.rag_runtime.commands.processes import Serving, serving

# Near 240 chunks each: 5,000 together.
DOCUMENTS = 4 if is_short else 21
PARAGRAPHS = 100
WORDS = 105
PER_REQUEST = 1 if is_short else 2
# Without any step forward: beside busy neighbours an ingest takes many times as long as alone.
STILL_SECONDS = 180.0

Ids = frozenset[str]


def documents() -> list[dict[str, str]]:
    """The same in every run."""
    chance = random.Random(4)
    words = ["".join(chance.choices("abcdefghijklmnoprstuv", k=chance.randint(2, 9))) for _ in range(3000)]

    def paragraph() -> str:
        return " ".join(chance.choices(words, k=WORDS)) + "."

    return [
        {"id": f"doc-{n:03}", "text": "\n\n".join(paragraph() for _ in range(PARAGRAPHS))} for n in range(DOCUMENTS)
    ]


def requests() -> list[list[dict[str, str]]]:
    every = documents()
    return [every[start : start + PER_REQUEST] for start in range(0, len(every), PER_REQUEST)]


@dataclass
class Sender(threading.Thread):
    """Sends the requests one after the other. Asks again while it hears 503; stops when nobody answers any more."""

    url: str
    requests: Sequence[list[dict[str, str]]]
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    """Document ids by job."""

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=120) as client:
            for request in self.requests:
                if not self._send(client, request):
                    return

    def _send(self, client: httpx.Client, request: list[dict[str, str]]) -> bool:
        while True:
            try:
                response = client.post("/v1/documents", json={"documents": request})
            except httpx.TransportError:
                return False
            if response.status_code == 202:
                self.acknowledged[response.json()["job_id"]] = [document["id"] for document in request]
                return True
            assert response.status_code == 503, response.text
            time.sleep(0.2)

    @property
    def ids(self) -> list[str]:
        return [id_ for ids in self.acknowledged.values() for id_ in ids]


def send_all(url: str) -> Sender:
    sender = Sender(url, requests())
    sender.run()
    return sender


def wait_answering(url: str) -> None:
    """Until questions are answered again."""
    deadline = time.monotonic() + STILL_SECONDS
    with httpx.Client(base_url=url, timeout=60) as client:
        while client.post("/v1/retrieve", json={"query": "anything"}).status_code != 200:
            assert time.monotonic() < deadline, "no answer"
            time.sleep(0.05)


def wait_finished(url: str, jobs: Mapping[str, object]) -> None:
    """Until each job is finished, and none of its files failed."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for job_id in jobs:
            job = _finished(client, job_id)
            assert job["status"] == "succeeded", job


def _finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job when it is; one that stands still for too long hangs."""
    before, since = dict[str, Any](), time.monotonic()
    while (job := _job(client, job_id)).get("status") in ("queued", "running", None):
        if job != before:
            before, since = job, time.monotonic()
        assert time.monotonic() < since + STILL_SECONDS, f"hangs: {job}"
        time.sleep(0.1)
    return job


def _job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    response = client.get(f"/v1/jobs/{job_id}")
    assert response.status_code in (200, 503), response.text
    job: dict[str, Any] = response.json() if response.status_code == 200 else {}
    return job


def chunks_of(url: str, ids: Sequence[str]) -> dict[str, int]:
    """How many chunks of each document a search can find."""
    with httpx.Client(base_url=url, timeout=60) as client:
        return {id_: client.get(f"/v1/documents/{id_}").raise_for_status().json()["chunks"] for id_ in ids}


def stored(shard: edge.EdgeShard) -> Iterator[edge.Record]:
    offset = None
    while True:
        records, offset = shard.scroll(edge.ScrollRequest(limit=1000, offset=offset, with_payload=True))
        yield from records
        if offset is None:
            return


@dataclass(frozen=True)
class Seen:
    """What lies in a store: chunk ids, and how many chunks are there twice or were never shown."""

    ids: Ids
    doubled: int


def seen(points: Iterator[tuple[str, Mapping[str, Any]]]) -> Seen:
    found = [(id_, (payload["document_id"], payload["ordinal"]), payload["live"]) for id_, payload in points]
    live = {id_ for id_, _, is_live in found if is_live}
    return Seen(frozenset(live), len(found) - len({place for _, place, is_live in found if is_live}))


def seen_in_folder(data_dir: Path) -> Seen:
    """Of the embedded store, which nobody has open."""
    (folder,) = (data_dir / "data/indexes").glob("*/shard")
    shard = edge.EdgeShard.load(str(folder))
    try:
        return seen((str(record.id), record.payload or {}) for record in stored(shard))
    finally:
        shard.close()


@dataclass(frozen=True)
class Undisturbed:
    """What an ingest that nobody disturbs leaves, and how long it takes."""

    ids: Ids
    chunks: Mapping[str, int]
    seconds: float

    def moment(self, run: int, *, slower: int = 1) -> float:
        """Some moment of it, another one in each run, where it takes that many times longer."""
        return random.Random(run).uniform(0.0, self.seconds * slower)


@contextmanager
def ready(folder: Path, **settings: str) -> Iterator[Serving]:
    with serving(folder, **settings) as service:
        service.wait_ready()
        yield service


def undisturbed(folder: Path) -> Undisturbed:
    with ready(folder) as service:
        begin = time.monotonic()
        sender = send_all(service.url)
        wait_finished(service.url, sender.acknowledged)
        seconds = time.monotonic() - begin
        chunks = chunks_of(service.url, sender.ids)
        service.end()
    found = seen_in_folder(folder)
    assert found.doubled == 0
    assert len(found.ids) == sum(chunks.values())
    return Undisturbed(found.ids, chunks, seconds)
