"""What the composition root makes of the settings, where no port shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rag_runtime.app import index_spec
from rag_runtime.settings import Settings
from rag_runtime.testing import HashEmbedder


@pytest.mark.parametrize(("model", "weighed"), [("Qdrant/bm25", True), ("prithivida/Splade_PP_en_v1", False)])
def test_only_the_words_of_bm25_are_weighed_by_the_store(model: str, weighed: bool) -> None:
    assert index_spec(Settings(sparse_model=model), HashEmbedder()).sparse_idf is weighed


def test_what_only_some_need_is_not_imported_by_all(tmp_path: Path) -> None:
    """Each of them takes half a second or more, which every start would wait for."""
    program = f"""
import sys
from rag_runtime.app import create_app
from rag_runtime.settings import Settings
create_app(Settings(data_dir={str(tmp_path)!r}))
print([name for name in ("mcp", "openai", "google.genai", "qdrant_client") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
