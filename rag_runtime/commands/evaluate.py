"""Ask golden questions of a running service, and say how much it found and how fast."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rag_runtime import evaluation
from rag_runtime.errors import RequestError, Unavailable
from rag_runtime.evaluation import Figures, Golden, Outcome


@dataclass(frozen=True, slots=True)
class Options:
    url: str
    api_key: str | None = None
    top_k: int = 10
    min_recall: float = 0.0
    output: str = "table"


def evaluate(path: Path, options: Options) -> int:
    """0 when the recall is at least the one that is asked for, else 1."""
    goldens = evaluation.read(_parsed(path), name=path.name)
    headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
    with httpx.Client(base_url=options.url, headers=headers, timeout=60) as client:
        outcomes = [_asked(client, golden, options) for golden in goldens]
    found = evaluation.figures(outcomes, top_k=options.top_k)
    (_print_json if options.output == "json" else _print_table)(outcomes, found)
    return int(found.recall < options.min_recall)


def _parsed(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise RequestError(f"{path} cannot be read: {missing.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as broken:
        raise RequestError(f"{path} is not YAML: {' '.join(str(broken).split())[:200]}") from None


def _asked(client: httpx.Client, golden: Golden, options: Options) -> Outcome:
    begin = time.perf_counter()
    try:
        response = client.post("/v1/retrieve", json={"query": golden.question, "top_k": options.top_k})
    except httpx.TransportError as broken:
        raise Unavailable(f"{client.base_url} cannot be reached: {broken}") from None
    milliseconds = (time.perf_counter() - begin) * 1000
    if response.is_error:
        raise RequestError(f"{golden.question[:60]!r}: {_detail(response)}")
    return evaluation.judge(golden, _hits(response), milliseconds=milliseconds)


def _hits(response: httpx.Response) -> Sequence[Mapping[str, Any]]:
    try:
        hits: Sequence[Mapping[str, Any]] = response.json()["hits"]
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"{response.url} answers unlike a ragops runtime: check --url") from None
    return hits


def _detail(response: httpx.Response) -> str:
    hint = " (--api-key, or RAG_API_KEY in the environment)" if response.status_code in (401, 403) else ""
    try:
        return f"{response.json()['detail']}{hint}"
    except (ValueError, KeyError, TypeError):
        return f"the service answered {response.status_code}{hint}"


def _print_json(outcomes: Sequence[Outcome], found: Figures) -> None:
    questions = [
        {"question": outcome.question, "ranks": outcome.ranks, "milliseconds": round(outcome.milliseconds, 2)}
        for outcome in outcomes
    ]
    sys.stdout.write(json.dumps({**asdict(found), "outcomes": questions}, indent=2) + "\n")


def _print_table(outcomes: Sequence[Outcome], found: Figures) -> None:
    missed = Table("not all found", "ranks")
    for outcome in outcomes:
        if outcome.recall < 1:
            missed.add_row(Text(outcome.question), ", ".join(str(rank or "-") for rank in outcome.ranks))
    table = Table("questions", f"recall@{found.top_k}", "MRR", "p50 ms", "p95 ms", "p99 ms")
    latencies = (f"{value:.1f}" for value in (found.p50_ms, found.p95_ms, found.p99_ms))
    table.add_row(str(found.questions), f"{found.recall:.3f}", f"{found.mrr:.3f}", *latencies)
    console = Console()
    if missed.row_count:
        console.print(missed)
    console.print(table)
