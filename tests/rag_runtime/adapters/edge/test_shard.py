import shutil
from pathlib import Path

from rag_runtime.adapters.edge.shard import Shard
from rag_runtime.adapters.tuning import Tuning
from rag_runtime.domain import DocumentId
from tests.stores import embedded, query, spec


def test_what_was_synced_survives_the_loss_of_all_that_was_not_flushed(tmp_path: Path) -> None:
    """A power loss at its worst: the segments as of the last flush, and the log as of the last sync."""
    running, lost = tmp_path / "running", tmp_path / "lost"
    shard = Shard(running, spec(), Tuning())
    shutil.copytree(running, lost)
    for n in range(30):
        shard.stage(embedded(f"d{n}", count=4))
        shard.publish(DocumentId(f"d{n}"), "v1")
    shard.delete_document(DocumentId("d0"))
    shard.sync()
    shutil.rmtree(lost / "wal")
    shutil.copytree(running / "wal", lost / "wal")
    reopened = Shard(lost, spec(), Tuning())
    assert reopened.count() == 29 * 4
    assert reopened.published_version(DocumentId("d29")) == ("v1", 4)
    reopened.close()
    shard.close()


def test_an_optimized_shard_finds_the_same(tmp_path: Path) -> None:
    """With thresholds so low that segments are merged, indexed and quantized."""
    shard = Shard(
        tmp_path / "s", spec(), Tuning(indexing_threshold=1, max_segment_size=1000, hnsw_full_scan_threshold=1)
    )
    shard.stage(embedded(count=400))
    shard.publish(DocumentId("d1"), "v1")
    before = [hit.chunk.id for hit in shard.search(query(top_k=5))]
    shard.optimize()
    assert shard.count() == 400
    assert [hit.chunk.id for hit in shard.search(query(top_k=5))][:1] == before[:1]
    shard.close()
