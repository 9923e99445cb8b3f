"""Every command against a running service, with either store behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.promises.services import Service
from tests.rag_runtime.commands.processes import ROOT, run


@pytest.mark.row("rag-runtime serve")
def test_serve_says_where_it_listens(service: Callable[[str], Service]) -> None:
    (line,) = service("plain").logged("listening")
    assert (line["host"], line["port"] > 0, line["tls"]) == ("127.0.0.1", True, False)


@pytest.mark.row("rag-runtime ingest")
def test_ingest_sends_files_and_says_what_became_of_them(service: Callable[[str], Service]) -> None:
    sent = run("ingest", str(ROOT / "examples/documents"), "--url", service("plain").serving.url)
    assert sent.returncode == 0, sent.stderr
    assert "crew-handbook.pdf" in sent.stdout


@pytest.mark.row("rag-runtime bake")
def test_bake_puts_models_where_they_are_looked_for(tmp_path: Path) -> None:
    assert run("bake", "bundled", MODEL_CACHE_DIR=str(tmp_path)).returncode == 0
    assert list(tmp_path.glob("bundled-*/model.onnx"))
