"""The embedded store's process: killed, doubled, starved of disk, left alone. What it stores is the contract's part."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.domain import DocumentId
from rag_runtime.errors import IndexMismatch, StoreRejected, StoreUnavailable
from tests.stores import document, embedded, query, spec, store_document

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[QdrantEdge]:
    opened = QdrantEdge(spec(), tmp_path / "data")
    await opened.open()
    yield opened
    await opened.close()


def kill(store: QdrantEdge) -> None:
    assert store.process_id is not None
    os.kill(store.process_id, signal.SIGKILL)


async def until(works: Callable[[], Awaitable[object]], *, seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            await works()
        except StoreUnavailable:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.02)
        else:
            return


async def test_a_killed_process_is_noticed_and_replaced(store: QdrantEdge) -> None:
    await store_document(store, count=3)
    before = store.process_id
    kill(store)
    await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable, match="restarted"):
        await store.count()
    await until(store.ping)
    assert store.process_id != before
    assert await store.count() == 3


async def test_requests_under_way_fail_at_once_when_the_process_is_killed(store: QdrantEdge) -> None:
    asked = [asyncio.create_task(store_document(store, f"d{n}", count=50)) for n in range(20)]
    await asyncio.sleep(0.05)
    kill(store)
    outcomes = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), timeout=5)
    assert any(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert all(isinstance(outcome, StoreUnavailable | int) for outcome in outcomes)


async def test_what_was_acknowledged_survives_kills_in_the_middle_of_writes(store: QdrantEdge) -> None:
    acknowledged: set[str] = set()

    async def ingest(name: str) -> None:
        try:
            await store_document(store, name, count=5)
        except StoreUnavailable:
            return
        acknowledged.add(name)

    for round_ in range(5):
        writes = [asyncio.create_task(ingest(f"d{round_}-{n}")) for n in range(30)]
        await asyncio.sleep(random.uniform(0.0, 0.08))
        kill(store)
        await asyncio.gather(*writes)
        await until(store.ping)
        for name in acknowledged:
            assert await store.published_version(DocumentId(name)) == ("v1", 5)
            assert await store.get_document(DocumentId(name)) == document(name)


async def test_the_version_rises_over_a_kill(store: QdrantEdge) -> None:
    """A change may have become durable without its raise, so a new process counts as one."""
    await store_document(store)
    before = await store.version()
    kill(store)
    await asyncio.sleep(0.05)
    await until(store.ping)
    assert await store.version() > before


async def test_a_second_process_is_refused_with_the_folder_named(store: QdrantEdge, tmp_path: Path) -> None:
    second = QdrantEdge(spec(), tmp_path / "data")
    with pytest.raises(StoreRejected, match=r"data is already open"):
        await second.open()
    await second.close()
    await store.ping()


async def test_before_opening_and_after_closing_it_is_unavailable(tmp_path: Path) -> None:
    store = QdrantEdge(spec(), tmp_path)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()
    await store.open()
    process_id = store.process_id
    assert process_id is not None
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ping()
    assert not is_alive(process_id)


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = QdrantEdge(spec(), tmp_path / "file" / "data")
    with pytest.raises(StoreRejected, match=r"file/data.*DATA_DIR"):
        await store.open()
    await store.close()


def test_the_process_ends_with_its_parent_and_leaves_the_folder_free(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    give_up = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert not is_alive(child)
    assert asyncio.run(count_in(tmp_path)) == 3


_PARENT = """
import asyncio, pathlib, sys
from rag_runtime.adapters.qdrant_edge import QdrantEdge
from tests.stores import spec, store_document

async def main():
    store = QdrantEdge(spec(), pathlib.Path(sys.argv[1]))
    await store.open()
    await store_document(store, count=3)
    print(store.process_id, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def count_in(folder: Path) -> int:
    store = QdrantEdge(spec(), folder)
    await store.open()
    try:
        return await store.count()
    finally:
        await store.close()


def is_alive(process_id: int) -> bool:
    """A zombie, which nobody has waited for yet, is not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_the_child_gets_no_secret_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "very secret")
    store = QdrantEdge(spec(), tmp_path)
    await store.open()
    assert store.process_id is not None
    assert b"very secret" not in environment_of(store.process_id)
    await store.close()


def environment_of(process_id: int) -> bytes:
    return Path(f"/proc/{process_id}/environ").read_bytes()


def remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        next(folder.glob(pattern)).unlink()


async def test_an_unfinished_creation_is_begun_anew(tmp_path: Path) -> None:
    """Killed before the stamp was written: there is a shard that nothing points to."""
    first = QdrantEdge(spec(), tmp_path)
    await first.open()
    await first.close()
    remove(tmp_path, "indexes/*/stamp.json", "aliases/handbook")
    again = QdrantEdge(spec(), tmp_path)
    await again.open()
    assert await again.count() == 0
    await again.close()


async def test_an_index_that_lost_its_stamp_is_not_guessed_at(tmp_path: Path) -> None:
    first = QdrantEdge(spec(), tmp_path)
    await first.open()
    await store_document(first)
    await first.close()
    remove(tmp_path, "indexes/*/stamp.json")
    refused = QdrantEdge(spec(), tmp_path)
    with pytest.raises(IndexMismatch, match="no stamp"):
        await refused.open()
    await refused.close()
    adopting = QdrantEdge(spec(), tmp_path, adopt=True)
    await adopting.open()
    assert await adopting.count() == 3
    await adopting.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk to fill up needs the right to mount one")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def fill(disk: Path, *, leave_mb: int) -> Path:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    with filler.open("wb") as file:
        for _ in range((free >> 20) - leave_mb):
            file.write(bytes(1 << 20))
    return filler


async def test_a_full_disk_stops_writes_with_the_reason_and_nothing_else(small_disk: Path) -> None:
    store = QdrantEdge(spec(), small_disk / "data", disk_reserve_mb=64)
    await store.open()
    await store_document(store, "before", count=3)
    filler = fill(small_disk, leave_mb=32)
    for write in (store.stage(embedded("after")), store.put_documents([document("after")])):
        with pytest.raises(StoreUnavailable, match=r"full.*nothing was stored"):
            await write
    assert len(await store.search(query())) == 3
    assert await store.get_document(DocumentId("after")) is None
    assert await store.delete_document(DocumentId("before")) is True
    filler.unlink()
    assert await store_document(store, "after", count=2) == 2
    await store.close()


async def test_a_disk_that_fills_up_under_the_engine_loses_nothing_acknowledged(small_disk: Path) -> None:
    """No reserve at all: whatever the engine or the kernel then does, what was acknowledged is there afterwards."""
    store = QdrantEdge(spec(), small_disk / "data", disk_reserve_mb=0)
    await store.open()
    filler = fill(small_disk, leave_mb=1)
    acknowledged, refused = [], 0
    for n in range(60):
        try:
            await store.put_documents([document(f"d{n}", text="x" * 100_000)])
            await store_document_chunks(store, f"d{n}")
            acknowledged.append(f"d{n}")
        except StoreUnavailable:
            refused += 1
            await asyncio.sleep(0.01)
    assert refused
    filler.unlink()
    await until(store.ping)
    for name in acknowledged:
        assert await store.published_version(DocumentId(name)) == ("v1", 20)
    assert await store_document(store, "after", count=2) == 2
    await store.close()


async def store_document_chunks(store: QdrantEdge, name: str) -> None:
    await store.stage(embedded(name, count=20))
    await store.publish(DocumentId(name), "v1")
