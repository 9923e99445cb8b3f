"""What docs/api.md says of answers that are not found is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.weakness import measure
from rag_runtime.adapters.fastembed import Models, load
from rag_runtime.weakness import UNRELATED_BELOW
from tests.shared_data import shared


async def test_questions_of_other_subjects_are_refused_and_hardly_any_of_their_own(tmp_path: Path) -> None:
    embedder = load(Models(cache_dir=tmp_path))
    refused = await measure(shared("cranfield").parent, embedder, below=UNRELATED_BELOW["bundled"], every=3)
    embedder.close()
    assert refused["abstracts, own questions"] == pytest.approx(0.0, abs=0.01)
    assert refused["films, own questions"] <= 0.02
    assert refused["abstracts, other subjects' questions"] >= 0.75
    assert refused["films, other subjects' questions"] >= 0.98
    assert refused["films, abstracts' questions"] >= 0.98
