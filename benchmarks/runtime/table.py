"""Figures of several runs as Markdown: the median of each and, in brackets, how far the runs lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.runtime.turns import Entry, Figures

COLUMNS = ("start s", "ingest docs/s", "p50 ms", "p95 ms", "CPU ms", "q/s, 8 clients", "p95/p50, 8 clients", "peak MB")
SERVICE = ("/livez ms", "same question again ms", "explained p50 ms", "answer p50 ms", "start again s", "MB after that")


@dataclass(frozen=True)
class Target:
    """A bound on a figure of ragops, or on what `of` makes of a run. Ratios are taken within a run."""

    text: str
    of: Callable[[Mapping[str, Figures]], float]
    bound: float
    is_upper: bool = True


def _ratio(column: str) -> Callable[[Mapping[str, Figures]], float]:
    return lambda run: run["ragops"][column] / run["floor"][column]


def _own(column: str) -> Callable[[Mapping[str, Figures]], float]:
    return lambda run: run["ragops"][column]


SAME_MODEL = (
    Target("p50 of one client, of the floor's", _ratio("p50 ms"), 1.3),
    Target("throughput with 8 clients, of the floor's", _ratio("q/s, 8 clients"), 0.85, is_upper=False),
    Target("p95 with 8 clients, of its p50", _own("p95/p50, 8 clients"), 2.0),
    Target("ingest, of the floor's", _ratio("ingest docs/s"), 0.95, is_upper=False),
    Target("MB over the floor", lambda run: run["ragops"]["peak MB"] - run["floor"]["peak MB"], 150),
)
SMALL = (
    Target("seconds until it is ready with its chunks", _own("start again s"), 2.0),
    Target("peak MB", _own("peak MB"), 400),
)
CACHED = Target(
    "ms that the same question takes again, over /livez",
    lambda run: run["ragops"]["same question again ms"] - run["ragops"]["/livez ms"],
    1.0,
)

Runs = Sequence[Mapping[str, Figures]]


def render(entries: Sequence[Entry], runs: Runs, targets: Sequence[Target]) -> str:
    lines = ["| | store | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for entry in entries:
        cells = (_cell([run[entry.name][column] for run in runs if column in run[entry.name]]) for column in COLUMNS)
        lines.append(f"| {entry.name} | {entry.store} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_service(runs), "", *_judged(runs, (*targets, CACHED)), ""])


def _service(runs: Runs) -> list[str]:
    if "ragops" not in runs[0]:
        return []
    cells = ((name, _cell([run["ragops"][name] for run in runs])) for name in SERVICE)
    return ["ragops alone: " + "; ".join(f"{name} {cell}" for name, cell in cells)]


def _judged(runs: Runs, targets: Sequence[Target]) -> list[str]:
    if not {"ragops", "floor"} <= set(runs[0]):
        return []
    found = []
    for target in targets:
        value = statistics.median(target.of(run) for run in runs)
        kept = value <= target.bound if target.is_upper else value >= target.bound
        bound = f"{'at most' if target.is_upper else 'at least'} {target.bound:g}"
        found.append(f"- {target.text}: {_number(value)} ({bound}: {'kept' if kept else 'MISSED'})")
    return found


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ({_number(min(values))}-{_number(max(values))})" if len(values) > 1 else ""
    return _number(statistics.median(values)) + spread


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
