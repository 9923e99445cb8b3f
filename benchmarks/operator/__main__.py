"""python -m benchmarks.operator: 1,000 pipelines on an API server, etcd and controllers, with nodes that kwok plays."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.operator import phases, processes, report
from benchmarks.operator.audit import AuditLog
from benchmarks.operator.client import NAMESPACE, connect
from benchmarks.operator.phases import Bench
from tests.cluster import control_plane
from tests.cluster.paths import REPOSITORY
from tests.cluster.progress import say, step
from tests.conftest import prepare
from tests.rag_operator.served import open_namespace

OUTPUT = Path("build/benchmarks")
NODES = 10


@dataclass(frozen=True)
class Options:
    pipelines: int = 1000
    rate_a_second: float = 10
    rated: int = 300
    idle_seconds: float = 300
    resync_seconds: float = 60
    at_once: int = 4
    """As many requests as the operator has workers."""


QUICK = {"rated": 20, "idle_seconds": 5, "resync_seconds": 4}


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A control plane of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        control_plane(controller_manager=True, audit=True, played_nodes=NODES) as cluster,
    ):
        prepare(cluster)
        served = open_namespace(cluster, NAMESPACE, Path(folder))
        assert cluster.audit_log
        log = AuditLog(cluster.audit_log, phases.USER)
        async with connect(cluster.kubeconfig) as bare:
            yield Bench(served, bare, processes.servers_of(cluster.kubeconfig.parent), log)


async def measure(options: Options) -> dict[str, Any]:
    wanted = [f"pipe-{number}" for number in range(options.pipelines)]
    figures: dict[str, Any] = {"pipelines": options.pipelines, "rate_a_second": options.rate_a_second}
    async with bench() as one:
        with step(f"{options.rated} pipelines at {options.rate_a_second:g} a second"):
            figures["rate"] = await phases.rate(one, pipelines=options.rated, a_second=options.rate_a_second)
    async with bench() as one:
        async with phases.operator(one) as running:
            with step(f"{options.pipelines} pipelines at once"):
                figures["burst"] = await phases.burst(one, running, wanted)
            with step("visits that find nothing to do"):
                figures["no_op"] = await phases.no_op(one, wanted[:100])
            with step(f"idle for {options.idle_seconds:g} s"):
                figures["idle"] = await phases.idle(one, running, seconds=options.idle_seconds)
        with step("a restart"):
            figures["restart"] = await phases.restart(one, options.pipelines)
        with step("a resync"):
            figures["resync"] = await phases.resynced(one, options.pipelines, resync_seconds=options.resync_seconds)
    async with bench() as one:
        with step("the floor: the same objects by a bare client"):
            figures["floor"] = await phases.floor(one, wanted, at_once=options.at_once)
    return figures


def write(figures: dict[str, Any], folder: Path) -> str:
    """The table; beside it the figures, for whoever compares."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "operator.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "operator.md").write_text(table := report.table(figures))
    return table


def parse(arguments: list[str] | None = None) -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operator", description=__doc__)
    parser.add_argument("--pipelines", type=int, default=Options.pipelines)
    parser.add_argument(
        "--idle-seconds", type=float, help=f"how long to look at an idle operator ({Options.idle_seconds})"
    )
    parser.add_argument("--quick", action="store_true", help="for a look at whether it works, not at figures")
    parser.add_argument("--output", type=Path, default=REPOSITORY / OUTPUT, help="the folder of the table")
    chosen = parser.parse_args(arguments)
    given = {"pipelines": chosen.pipelines, "rated": min(chosen.pipelines, Options.rated)}
    given |= QUICK if chosen.quick else {}
    if chosen.idle_seconds is not None:
        given["idle_seconds"] = chosen.idle_seconds
    return Options(**given), chosen.output


def main() -> None:
    options, folder = parse()
    table = write(asyncio.run(measure(options)), folder)
    say(f"written to {folder}")
    print(table, end="")


if __name__ == "__main__":
    main()
