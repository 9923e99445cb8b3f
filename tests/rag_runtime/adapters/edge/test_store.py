"""What a store makes good when it is opened after a kill."""

from __future__ import annotations

from pathlib import Path

import qdrant_edge as edge

from rag_runtime.adapters.edge.store import Store
from rag_runtime.domain import DocumentId, FileResult, Job
from tests.rag_runtime.adapters.edge.test_rebuilding import opening, write
from tests.stores import document, embedded, query

D1 = DocumentId("d1")


def test_a_publication_that_was_cut_short_is_finished_before_anybody_asks(tmp_path: Path) -> None:
    """Both versions would be found until the job, which is resumed, has embedded the document again."""
    store = Store(opening(tmp_path))
    write(store, "d1", 3)
    store.call("put_documents", [[document("d1", version="v2")]])
    store.call("put_job", [Job("j", 1.0, (FileResult("d1.pdf", D1, "queued"),), owner="us")])
    store.call("stage", [embedded("d1", version="v2", count=2)])
    new = edge.FieldCondition("content_hash", match=edge.MatchValue("v2"))
    store._shard._update(edge.UpdateOperation.set_payload_by_filter(edge.Filter(must=[new]), {"live": 1}))
    store.commit()
    assert store.count() == 5
    store._shard.close()
    store._folder.release()

    again = Store(opening(tmp_path))
    assert again.published_version(D1) == ("v2", 2)
    assert {hit.chunk.content_hash for hit in again.search(query())} == {"v2"}
    again.close()


def test_a_version_that_is_only_staged_stays_hidden(tmp_path: Path) -> None:
    store = Store(opening(tmp_path))
    write(store, "d1", 3)
    store.call("put_documents", [[document("d1", version="v2")]])
    store.call("put_job", [Job("j", 1.0, (FileResult("d1.pdf", D1, "queued"),), owner="us")])
    store.call("stage", [embedded("d1", version="v2", count=2)])
    store.commit()
    store._shard.close()
    store._folder.release()

    again = Store(opening(tmp_path))
    assert again.published_version(D1) == ("v1", 3)
    again.close()
