import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from rag_runtime.adapters import indexes
from rag_runtime.adapters.edge.folder import Folder, sync_all
from rag_runtime.errors import StoreRejected, StoreUnavailable
from tests.stores import spec


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    made.take()
    yield made
    made.release()


def test_a_second_taker_is_refused_with_the_folder_named(folder: Folder) -> None:
    with pytest.raises(StoreRejected, match=str(folder.root)):
        Folder(folder.root).take(wait_seconds=0.1)


def test_a_released_folder_can_be_taken(folder: Folder) -> None:
    folder.release()
    folder.take(wait_seconds=0.1)


def test_a_pointer_leads_where_it_was_set_last(folder: Folder) -> None:
    assert folder.target("handbook") is None
    folder.point("handbook", "handbook__1")
    folder.point("handbook", "handbook__2")
    assert folder.target("handbook") == "handbook__2"


def test_a_torn_stamp_is_no_stamp(folder: Folder) -> None:
    stamp = indexes.stamp_for(spec(), owner="")
    folder.put_stamp("i", stamp)
    assert folder.stamp("i") == stamp
    (folder.root / "indexes" / "i" / "stamp.json").write_text('{"index": "i", "ow')
    assert folder.stamp("i") is None


def test_space_is_required_in_words(folder: Folder) -> None:
    folder.require_space(1)
    with pytest.raises(StoreUnavailable, match=r"full.*enlarge"):
        folder.require_space(1 << 60)


def test_a_file_that_is_renamed_while_its_folder_is_synced_does_no_harm(tmp_path: Path) -> None:
    """As the engine does it with the next file of its log, at a moment of its own choice."""
    for n in range(20):
        (tmp_path / f"tmp-{n}").write_bytes(b"x")
    ended = threading.Event()

    def rename() -> None:
        for n in cycle(range(20)):
            (tmp_path / f"tmp-{n}").rename(tmp_path / f"open-{n}")
            (tmp_path / f"open-{n}").rename(tmp_path / f"tmp-{n}")
            if ended.is_set():
                return

    renaming = threading.Thread(target=rename)
    renaming.start()
    try:
        for _ in range(50):
            sync_all(tmp_path)
    finally:
        ended.set()
        renaming.join()
