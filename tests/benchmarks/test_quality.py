from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality import measure, ndcg, read_collection
from rag_runtime.adapters.fastembed import Models
from rag_runtime.chunking import ChunkLimits
from tests.shared_data import shared


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [(["a", "b"], 1.0), (["b", "a"], 0.7609), (["x", "a", "b"], 0.6529), (["x"] * 10 + ["a"], 0.0), ([], 0.0)],
)
def test_ndcg_counts_gain_by_rank_down_to_the_tenth(ranking: list[str], expected: float) -> None:
    assert ndcg(ranking, {"a": 4, "b": 1, "c": 0}) == pytest.approx(expected, abs=1e-4)


async def test_hybrid_retrieval_with_the_bundled_model_is_as_good_as_promised(tmp_path: Path) -> None:
    collection = read_collection(shared("cranfield"))
    figures = await measure(collection, Models(cache_dir=tmp_path), ChunkLimits())
    assert figures.ndcg["hybrid"] >= 0.365
    assert figures.ndcg["hybrid"] > max(figures.ndcg["dense"], figures.ndcg["sparse"])
