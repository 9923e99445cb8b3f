"""The command line: which models, how many chunks, how often; tables out, and every figure as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runtime import environment, table
from benchmarks.runtime.turns import Entry, Plan, measure

FRAMEWORKS = {"LangChain": "langchain", "LlamaIndex": "llamaindex", "Haystack": "haystack"}
NOTES = """\
ragops is asked over HTTP, its embedded store in a process of its own; all others are called in their own process,
the floor with ragops' own parameters (RRF with k = 60 over 100 candidates of each side, fastembed's BM25, 10 hits
with their texts). Frameworks run as their own documentation shows them, with qdrant-client's local mode: its sparse
search is a loop in Python, and explains the largest ratios at 5,000 chunks. At 200 chunks the store is nearly free.
"""


def entries(names: Sequence[str]) -> list[Entry]:
    ours = [sys.executable, "-m"]
    found = [
        Entry("ragops", "embedded, over HTTP", [*ours, "benchmarks.runtime.service"]),
        Entry("floor", "qdrant-edge", [*ours, "benchmarks.runtime.floor"]),
        Entry("floor, one session of all threads", "qdrant-edge", [*ours, "benchmarks.runtime.floor", "--alone"], 1),
    ]
    wanted = {name.lower() for name in names}
    if wanted & {name.lower() for name in FRAMEWORKS}:
        python = str(environment.frameworks_python())
        found += [
            Entry(name, "qdrant-client, local mode", [python, "-m", f"benchmarks.runtime.{module}"])
            for name, module in FRAMEWORKS.items()
        ]
    return [entry for entry in found if entry.name.split(",")[0].lower() in wanted]


def main() -> None:
    chosen = _options()
    plan = Plan(turns=2, questions=5, busy_turns=1, busy_seconds=0.2, repeats=10) if chosen.quick else Plan()
    sizes = [24] if chosen.quick else [*dict.fromkeys((chosen.chunks, 200))]
    contenders = entries(chosen.contenders)
    print(f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}\n\n{NOTES}")
    chosen.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ragops-benchmark-") as folder:
        for model in chosen.models:
            for chunks in sizes:
                report, figures = _one_table(contenders, plan, model, chunks, chosen.runs, Path(folder))
                path = chosen.output / f"runtime-{model}-{chunks}"
                path.with_suffix(".json").write_text(json.dumps(figures, indent=2))
                path.with_suffix(".md").write_text(report)
                print(report, flush=True)


def _one_table(
    contenders: Sequence[Entry], plan: Plan, model: str, chunks: int, runs: int, work: Path
) -> tuple[str, object]:
    model_folder = environment.make_model(model, work)
    hub = work / f"hub-{model}"
    if not hub.exists():
        environment.make_hub(model_folder, hub)
    corpus = work / f"corpus-{model}-{chunks}.json"
    texts = environment.make_corpus(model_folder, chunks, corpus)
    found = []
    for run in range(runs):
        # Whoever comes first meets a cooler machine: another one each run.
        order = [*contenders[run % len(contenders) :], *contenders[: run % len(contenders)]]
        here = work / f"run-{model}-{chunks}-{run}"
        found.append(
            measure(order, plan, model=model_folder, hub=hub, corpus=corpus, work=here, questions=texts.questions)
        )
        shutil.rmtree(here)
    real = "real text" if texts.is_real else "drawn words (RAGOPS_TEST_DATA names no texts)"
    title = f"### {model}, {chunks:,} chunks of {real}, {runs} run{'s'[: runs > 1]}"
    targets = table.SMALL if model == "bundled" else table.SAME_MODEL
    return f"{title}\n\n{table.render(contenders, found, targets)}", {"model": model, "chunks": chunks, "runs": found}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime", description=sys.modules["benchmarks.runtime"].__doc__
    )
    parser.add_argument("--chunks", type=int, default=5000, help="beside 200 of them (default 5000)")
    parser.add_argument("--runs", type=int, default=1, help="of which the median and the spread are shown")
    parser.add_argument("--models", nargs="+", choices=environment.MODELS, default=environment.MODELS)
    everybody = ["ragops", "floor", *(name.lower() for name in FRAMEWORKS)]
    parser.add_argument("--contenders", nargs="+", choices=everybody, default=everybody)
    parser.add_argument("--output", type=Path, default=environment.OUTPUT, help="a folder for JSON and tables")
    parser.add_argument("--quick", action="store_true", help="24 chunks and a few questions: whether it works at all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
