"""A large shard is optimized beside itself: nothing written meanwhile is lost, whatever is killed when."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_runtime.adapters.edge.opening import Opening
from rag_runtime.adapters.edge.rebuilding import MOST_NOTED_CHUNKS, recover
from rag_runtime.adapters.edge.store import Store
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId
from tests.stores import embedded, query, spec

# So low that 400 chunks of 8 dimensions are many.
LOW = Tuning(indexing_threshold=4, hnsw_full_scan_threshold=10)


def opening(folder: Path, tuning: Tuning = LOW) -> Opening:
    return Opening(spec(), folder, owner="", adopt=False, tuning=tuning, disk_reserve_bytes=0)


def write(store: Store, document: str, count: int) -> None:
    store.call("stage", [embedded(document, count=count)])
    store.call("publish", [DocumentId(document), "v1"])
    store.commit()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(opening(tmp_path))
    write(made, "d1", 400)
    yield made
    made.close()


def indexed(store: Store) -> bool:
    return not store._shard.lacks_graph()


def folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("indexes/*/*") if path.is_dir())


def test_the_copy_takes_the_shards_place_with_all_that_was_written_meanwhile(store: Store, tmp_path: Path) -> None:
    write(store, "d2", 5)
    store.tidy(optimize=True)
    assert store.rebuild is not None
    write(store, "d3", 7)
    store.call("delete_document", [DocumentId("d2")])
    store.commit()
    assert len(store.search(query())) == 10
    store.end_rebuild()
    assert store.rebuild is None
    assert indexed(store)
    assert store.count() == 407
    assert store.published_version(DocumentId("d3")) == ("v1", 7)
    assert folders(tmp_path) == ["shard"]
    write(store, "d4", 3)
    assert store.count() == 410


def test_what_it_became_is_there_after_reopening(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    write(store, "d1", 400)
    store.tidy(optimize=True)
    write(store, "d2", 7)
    store.end_rebuild()
    store.close()
    again = Store(opening(tmp_path))
    assert again.count() == 407
    assert indexed(again)
    again.close()


def test_a_small_shard_is_optimized_here(tmp_path: Path) -> None:
    store = Store(opening(tmp_path, Tuning()))
    write(store, "d1", 400)
    store.tidy(optimize=True)
    assert store.rebuild is None
    store.close()


def test_nothing_is_rebuilt_where_nothing_lacks_a_graph(store: Store) -> None:
    store.tidy(optimize=True)
    store.end_rebuild()
    store.tidy(optimize=True)
    assert store.rebuild is None


def test_a_rebuilding_process_that_fails_changes_nothing(store: Store, tmp_path: Path) -> None:
    store.tidy(optimize=True)
    assert store.rebuild is not None
    store.rebuild._process.kill()
    store.end_rebuild()
    assert store.count() == 400
    assert folders(tmp_path) == ["shard"]


def test_it_is_given_up_when_too_much_is_written_meanwhile(store: Store, tmp_path: Path) -> None:
    store.tidy(optimize=True)
    for number in range(6):
        write(store, f"more{number}", MOST_NOTED_CHUNKS // 5)
    assert store.rebuild is None
    assert folders(tmp_path) == ["shard"]
    assert store.count() == 400 + 6 * (MOST_NOTED_CHUNKS // 5)


def test_a_store_that_is_closed_meanwhile_leaves_no_copy(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    write(store, "d1", 400)
    store.tidy(optimize=True)
    store.close()
    assert folders(tmp_path) == ["shard"]


def test_a_kill_before_the_copy_had_everything_goes_back_to_the_shard(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    write(store, "d1", 400)
    store.tidy(optimize=True)
    write(store, "d2", 7)
    rebuild = store.rebuild
    assert rebuild is not None
    assert rebuild.succeeded()
    store._shard.close()
    rebuild.take_place()
    rebuild.abandon()
    store._folder.release()
    again = Store(opening(tmp_path))
    assert again.count() == 407
    assert folders(tmp_path) == ["shard"]
    again.close()


def test_a_kill_between_the_two_renames_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "shard.replaced").mkdir()
    (tmp_path / "rebuilt-0a").mkdir()
    recover(tmp_path / "shard")
    assert [path.name for path in tmp_path.iterdir()] == ["shard"]


REBUILDING = """
import sys, time
from pathlib import Path
from tests.rag_runtime.adapters.edge.test_rebuilding import Store, opening, write
store = Store(opening(Path(sys.argv[1])))
write(store, "d1", 4000)
store.tidy(optimize=True)
print(store.rebuild._process.pid, flush=True)
time.sleep(600)
"""


def test_a_rebuilding_process_ends_with_the_store_that_began_it(tmp_path: Path) -> None:
    """Else it would go on for minutes, for nobody, beside the one that the next process begins."""
    command = [sys.executable, "-c", REBUILDING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4]) as store:
        assert store.stdout
        rebuilding = int(store.stdout.readline())
        ended = os.pidfd_open(rebuilding)
        # It has come to the engine, or has ended, when it is niced.
        own = os.getpriority(os.PRIO_PROCESS, store.pid)
        while not has_ended(ended, 0.01) and os.getpriority(os.PRIO_PROCESS, rebuilding) == own:
            pass
        if not has_ended(ended, 0):
            os.kill(rebuilding, signal.SIGSTOP)
        store.kill()
    assert has_ended(ended, 20)
    os.close(ended)


def has_ended(process: int, seconds: float) -> bool:
    return bool(select.select([process], [], [], seconds)[0])
