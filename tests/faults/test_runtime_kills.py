"""kill -9 of the runtime and of its store's process, at random moments of an ingest into the embedded store."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.corpus import (
    Sender,
    Undisturbed,
    chunks_of,
    ready,
    requests,
    seen_in_folder,
    send_all,
    wait_answering,
    wait_finished,
)
from tests.faults.killing import kill_all
from tests.faults.table import Table, repeated

# Beside busy neighbours a run takes as long as they let it: what hangs is told by its standing still.
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]
TABLE = Table(
    "runtime-kills",
    ("run", "killed after s", "acknowledged", "found", "stored in the end", "doubled", "answers again after s"),
)


@repeated
def test_every_acknowledged_chunk_is_there_once(run: int, reference: Undisturbed, tmp_path: Path) -> None:
    moment = reference.moment(run)
    with ready(tmp_path) as service:
        sender = Sender(service.url, requests())
        sender.start()
        time.sleep(moment)
        kill_all(service.process.pid)
        sender.join()
    begin = time.monotonic()
    with ready(tmp_path) as service:
        wait_answering(service.url)
        back = time.monotonic() - begin
        wait_finished(service.url, sender.acknowledged)
        found = chunks_of(service.url, sender.ids)
        wait_finished(service.url, send_all(service.url).acknowledged)
        service.end()
    in_the_end = seen_in_folder(tmp_path)
    expected = {id_: reference.chunks[id_] for id_ in sender.ids}
    counts = (sum(expected.values()), sum(found.values()), len(in_the_end.ids), in_the_end.doubled)
    TABLE.add(run, f"{moment:.2f}", *counts, f"{back:.1f}")
    assert found == expected
    assert in_the_end.ids == reference.ids
    assert in_the_end.doubled == 0
