"""What an admin is told of memory and models."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from rag_runtime.adapters.fastembed import Models, load
from rag_runtime.app import Ports
from tests.models import write_bert_like
from tests.rag_runtime.commands.processes import serving
from tests.rag_runtime.running import running

KEYS = {"api_key_required": True, "api_keys": "root,reader:query+ingest:read"}


@pytest.mark.parametrize("path", ["/debug/memory", "/debug/models"])
async def test_it_is_for_admins(path: str) -> None:
    async with running(KEYS) as service:
        answers = [
            (await service.client.get(path, headers=headers)).status_code
            for headers in ({}, {"X-API-Key": "read"}, {"X-API-Key": "root"})
        ]
    assert answers == [401, 403, 200]


async def test_each_model_is_named_with_its_size(tmp_path: Path) -> None:
    folder = str(write_bert_like(tmp_path / "mini"))
    embedder = load(Models(dense=folder, late=folder, cache_dir=tmp_path))
    settings = {"embedding_model": folder, "late_interaction_model": folder}
    async with running(settings, Ports(embedder=embedder)) as service:
        models = (await service.client.get("/debug/models")).json()
    size = (tmp_path / "mini/model.onnx").stat().st_size
    assert models == {
        "dense": {"name": folder, "loaded": True, "bytes": size},
        "sparse": {"name": "Qdrant/bm25", "loaded": True, "bytes": 0},
        "colbert": {"name": folder, "loaded": True, "bytes": size},
    }


async def test_a_model_that_no_one_asked_for_is_not_loaded() -> None:
    async with running({"preload_models": False}, wait=False) as service:
        models = (await service.client.get("/debug/models")).json()
    assert models["dense"] == {"name": "bundled", "loaded": False, "bytes": 0}
    assert models["colbert"] == {"name": None, "loaded": False, "bytes": 0}


def test_memory_is_told_by_process_the_embedded_stores_own_too(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        service.wait_ready()
        memory = httpx.get(f"{service.url}/debug/memory").json()
        metrics = httpx.get(f"{service.url}/metrics").text
    assert set(memory["resident_bytes"]) == {"serving", "store"}
    assert all(size > 1_000_000 for size in memory["resident_bytes"].values())
    assert memory["total_bytes"] == sum(memory["resident_bytes"].values())
    assert (memory["threshold_mb"], memory["over_threshold"]) == (0, False)
    assert 'rag_resident_bytes{process="store"}' in metrics
