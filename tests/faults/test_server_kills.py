"""kill -9 of the Qdrant test server in an ingest, and of a runtime whose job another one then finishes.

The server is always the test server, as nobody may kill another one; what it promises is what the real one does.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from tests.cluster.ports import free_ports
from tests.faults.corpus import (
    Seen,
    Sender,
    Undisturbed,
    chunks_of,
    ready,
    requests,
    seen,
    send_all,
    wait_answering,
    wait_finished,
)
from tests.faults.killing import kill_all
from tests.faults.table import Table, repeated
from tests.qdrant_server.running import Running, started

# Beside busy neighbours a run takes as long as they let it: what hangs is told by its standing still.
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
# The test server writes to its disk for each upsert of 8 chunks.
SERVER_SLOWER = 8
ENDED = "stored in the end"
KILLS = Table(
    "server-kills", ("run", "killed after s", "acknowledged", "found", ENDED, "doubled", "answers again after s")
)
REPLICAS = Table(
    "replica-kills", ("run", "killed after s", "acknowledged", "found", ENDED, "doubled", "all finished after s")
)


def seen_on(server: Running) -> Seen:
    client = QdrantClient(url=server.url, timeout=60, check_compatibility=False)
    (alias,) = client.get_aliases().aliases
    points = []
    offset = None
    while True:
        records, offset = client.scroll(alias.collection_name, limit=1000, offset=offset, with_payload=True)
        points += [(str(record.id), record.payload or {}) for record in records]
        if offset is None:
            client.close()
            return seen(iter(points))


@repeated
def test_what_was_acknowledged_survives_the_server(run: int, reference: Undisturbed, tmp_path: Path) -> None:
    moment, (port,) = reference.moment(run, slower=SERVER_SLOWER), free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with started(tmp_path / "qdrant", port=port) as first, ready(tmp_path, QDRANT_URL=url) as service:
        sender = Sender(service.url, requests())
        sender.start()
        time.sleep(moment)
        assert first.process
        kill_all(first.process.pid)
        first.process.wait()
        begin = time.monotonic()
        with started(tmp_path / "qdrant", port=port) as second:
            wait_answering(service.url)
            back = time.monotonic() - begin
            sender.join()
            wait_finished(service.url, sender.acknowledged)
            found = chunks_of(service.url, sender.ids)
            in_the_end = seen_on(second)
            service.end()
    _report(KILLS, run, moment, found, reference, in_the_end, back)


@repeated
def test_a_job_is_finished_by_another_replica(run: int, reference: Undisturbed, tmp_path: Path) -> None:
    moment = reference.moment(run, slower=SERVER_SLOWER)
    with (
        started(tmp_path / "qdrant") as server,
        ready(tmp_path / "b", QDRANT_URL=server.url) as other,
        ready(tmp_path / "a", QDRANT_URL=server.url) as killed,
    ):
        sender = Sender(killed.url, requests())
        sender.start()
        time.sleep(moment)
        kill_all(killed.process.pid)
        sender.join()
        begin = time.monotonic()
        wait_finished(other.url, sender.acknowledged)
        back = time.monotonic() - begin
        found = chunks_of(other.url, sender.ids)
        assert found == {id_: reference.chunks[id_] for id_ in sender.ids}
        wait_finished(other.url, send_all(other.url).acknowledged)
        in_the_end = seen_on(server)
        other.end()
    _report(REPLICAS, run, moment, found, reference, in_the_end, back)


def _report(
    table: Table,
    run: int,
    moment: float,
    found: dict[str, int],
    reference: Undisturbed,
    in_the_end: Seen,
    back: float,
) -> None:
    expected = {id_: reference.chunks[id_] for id_ in found}
    counts = (sum(expected.values()), sum(found.values()), len(in_the_end.ids), in_the_end.doubled)
    table.add(run, f"{moment:.2f}", *counts, f"{back:.1f}")
    assert found == expected
    assert in_the_end.ids == reference.ids
    assert in_the_end.doubled == 0
