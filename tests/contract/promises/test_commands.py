"""Every command against a running service, with either store behind it."""

from __future__ import annotations

import json
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


@pytest.mark.row("rag-runtime eval")
def test_eval_asks_golden_questions_and_fails_below_the_recall(
    service: Callable[[str], Service], tmp_path: Path
) -> None:
    url = service("plain").serving.url
    run(
        "ingest",
        str(ROOT / "examples/documents/crew-handbook.pdf"),
        str(ROOT / "examples/documents/vessels.csv"),
        "--url",
        url,
    )
    asked = run("eval", str(ROOT / "examples/questions.yaml"), "--url", url, "--output", "json", "--min-recall", "1")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    found = json.loads(asked.stdout)
    assert (found["questions"], found["recall"], found["top_k"]) == (3, 1.0, 10)
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text('- {question: "who?", expect: {document: nowhere.pdf}}\n')
    missed = run("eval", str(wrong), "--url", url, "--min-recall", "0.5")
    assert (missed.returncode, "recall@10" in missed.stdout, "who?" in missed.stdout) == (1, True, True)


def test_eval_says_what_it_cannot_read_or_reach(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("questions: [")
    assert "is not YAML" in run("eval", str(broken)).stderr
    good = str(ROOT / "examples/questions.yaml")
    assert "cannot be reached" in run("eval", good, "--url", "http://127.0.0.1:1").stderr
