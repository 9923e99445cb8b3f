"""What the composition root makes of the settings, where no port shows it."""

from __future__ import annotations

import pytest

from rag_runtime.app import index_spec
from rag_runtime.settings import Settings
from rag_runtime.testing import HashEmbedder


@pytest.mark.parametrize(("model", "weighed"), [("Qdrant/bm25", True), ("prithivida/Splade_PP_en_v1", False)])
def test_only_the_words_of_bm25_are_weighed_by_the_store(model: str, weighed: bool) -> None:
    assert index_spec(Settings(sparse_model=model), HashEmbedder()).sparse_idf is weighed
