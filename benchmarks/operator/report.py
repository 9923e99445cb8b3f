"""The figures as a table in Markdown, each beside what was aimed at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Figures = Mapping[str, Any]
Row = tuple[str, str, str]
# What the cluster would do without the operator, too.
SERVERS = ("kube-apiserver", "etcd")


def table(figures: Figures) -> str:
    rows = [("measured", "aim", "found"), ("---", "---", "---"), *_rows(figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _rows(figures: Figures) -> Iterator[Row]:
    rate, burst, idle = figures["rate"], figures["burst"], figures["idle"]
    first, resync = figures["restart"], figures["resync"]
    each = f"{figures['pipelines']:,} pipelines"
    yield (
        f"apply to children complete, {figures['rate_a_second']:g} pipelines a second",
        "p95 < 1 s",
        f"p50 {rate['p50_seconds']:.2f} s, p95 {rate['p95_seconds']:.2f} s",
    )
    yield f"{each} at once: children complete", "", f"{burst['complete_seconds']:.0f} s"
    yield f"{each} at once: all ready", "< 180 s", f"{burst['settled_seconds']:.0f} s"
    yield "operator's memory with them (at most)", "< 300 MB", _memory(burst)
    yield f"idle for {idle['seconds']:g} s: writes but the Lease", "0", f"{idle['writes']}"
    yield "idle: operator's CPU", "< 1 % of a core", f"{idle['cpu_percent_of_a_core']:.2f} %"
    yield "reads of a visit that finds nothing to do", "<= 1", f"{figures['no_op']['gets_each']:.2f}"
    yield f"restart with {each}: first full pass", "< 60 s", f"{first['first_pass_seconds']:.1f} s"
    yield "restart: operator's memory (at most)", "< 300 MB", f"{first['peak_rss_megabytes']:.0f} MB"
    yield "restart: objects applied again", "", f"{first['writes']}"
    yield "resync: writes; reads a pipeline (two Secrets are among them)", "0", _resync(resync)
    yield from _shares(burst, figures["floor"])


def _memory(found: Figures) -> str:
    return f"{found['rss_megabytes']:.0f} MB ({found['peak_rss_megabytes']:.0f} MB)"


def _resync(resync: Figures) -> str:
    return f"{resync['writes']}; {resync['gets_each']:.1f}, {resync['cpu_seconds']:.1f} s of CPU"


def _shares(burst: Figures, floor: Figures) -> Iterator[Row]:
    """Whose work the seconds at once were; and the same objects made without an operator."""
    yield "at once, CPU by process", "", _cpu(burst["cpu_seconds"])
    yield "of it the API server's and etcd's", "", f"{share(burst['cpu_seconds']):.0%}"
    floor_seconds = f"{floor['applied_seconds']:.0f} s, ready after {floor['settled_seconds']:.0f} s"
    yield f"the floor: the same {floor['objects']:,} objects by a bare client", "", floor_seconds
    yield "the floor, CPU by process", "", _cpu(floor["cpu_seconds"])


def share(cpu_seconds: Mapping[str, float]) -> float:
    return sum(cpu_seconds.get(name, 0) for name in SERVERS) / (sum(cpu_seconds.values()) or 1)


def _cpu(cpu_seconds: Mapping[str, float]) -> str:
    parts = sorted(cpu_seconds.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts)
