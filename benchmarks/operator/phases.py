"""What is measured, one function each, on an operator that runs as a process with the rights it asks for."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from benchmarks.operator import audit, processes
from benchmarks.operator.audit import READS, WRITES, AuditLog
from benchmarks.operator.client import NAMESPACE, PIPELINES, Bare, pipeline, side_by_side
from benchmarks.operator.watching import Watched, bodies_of, until, watching
from rag_operator import kube, names, resync
from tests.cluster.ports import free_ports
from tests.rag_operator.served import Operator, Served

Figures = dict[str, Any]
USER = f"system:serviceaccount:{NAMESPACE}:operator"
NEVER = 86_400
CREATED_AT_ONCE = 20
# Longest wait for anything: a machine may be busy.
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Bench:
    """A control plane with played nodes, its servers' processes, and a client of it."""

    served: Served
    bare: Bare
    servers: dict[str, int]
    audit: AuditLog


@dataclass(frozen=True)
class Running:
    """An operator under measurement."""

    process: Operator
    port: int
    began: float

    @property
    def pid(self) -> int:
        assert self.process.process
        return self.process.process.pid

    async def metrics(self) -> dict[str, float]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@asynccontextmanager
async def operator(bench: Bench, *, resync_seconds: float = NEVER) -> AsyncIterator[Running]:
    """Ready for work when the block begins."""
    port = free_ports(1)[0]
    # Played pods answer nobody, so that no question is put to them.
    settings = {"RESYNC_SECONDS": str(resync_seconds), "HEALTH_PORT": str(port), "PROBE_SECONDS": "0"}
    began = time.monotonic()
    with bench.served.operator(f"operator-{port}", **settings) as process:
        running = Running(process, port, began)
        await until(lambda: any(line["event"] == "leading" for line in process.said()), seconds=60, what="leading")
        yield running


async def rate(bench: Bench, *, pipelines: int, a_second: float) -> Figures:
    """From the request that creates a pipeline to the last of its children, at a steady rate."""
    sent: dict[str, float] = {}
    async with operator(bench), watching(bench.bare) as seen, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(pipelines):
            await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
            name = f"rate-{number}"
            sent[name] = time.monotonic()
            group.create_task(bench.bare.create(PIPELINES, pipeline(name)))
        await _all_complete(seen, list(sent))
    took = sorted((seen.completed_at(name) or 0) - at for name, at in sent.items())
    return {"p50_seconds": statistics.median(took), "p95_seconds": took[int(len(took) * 0.95)], "longest": took[-1]}


async def burst(bench: Bench, running: Running, wanted: Sequence[str]) -> Figures:
    """All at once: until the last has its children, and until the last says that it is ready."""
    pids = {"rag-operator": running.pid, "client": os.getpid(), **bench.servers}
    before = processes.cpu_by_name(pids)
    bench.audit.since()
    async with watching(bench.bare) as seen:
        began = time.monotonic()
        await side_by_side([partial(bench.bare.create, PIPELINES, pipeline(name)) for name in wanted], CREATED_AT_ONCE)
        created = time.monotonic() - began
        await _all_complete(seen, wanted)
        completed = max(seen.completed_at(name) or 0 for name in wanted) - began
        await until(lambda: seen.settled.keys() >= set(wanted), seconds=PATIENCE_SECONDS, what="all settled")
        settled = max(seen.settled.values()) - began
    asked = bench.audit.since()
    return {
        "created_seconds": created,
        "complete_seconds": completed,
        "settled_seconds": settled,
        "cpu_seconds": processes.since(before, pids),
        "reads_each": audit.count(asked, READS) / len(wanted),
        "writes_each": audit.count(asked, WRITES) / len(wanted),
        "visits_each": _visits(await running.metrics()) / len(wanted),
        "rss_megabytes": processes.memory_megabytes(running.pid),
        "peak_rss_megabytes": processes.memory_megabytes(running.pid, "VmHWM"),
    }


async def no_op(bench: Bench, wanted: Sequence[str]) -> Figures:
    """Visits that find nothing to do: each pipeline gets an annotation, which calls for one."""
    await bench.audit.until_quiet()
    note = {"metadata": {"annotations": {"bench": "looked at"}}}
    await side_by_side([partial(bench.bare.merge, f"{PIPELINES}/{name}", note) for name in wanted], CREATED_AT_ONCE)
    return _asked_each(await bench.audit.until_quiet(), len(wanted))


async def idle(bench: Bench, running: Running, *, seconds: float) -> Figures:
    """Nothing happens, and no resync is due."""
    await bench.audit.until_quiet()
    before, began = processes.cpu_seconds(running.pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = (processes.cpu_seconds(running.pid) - before) / (time.monotonic() - began)
    asked = bench.audit.since()
    return {
        "seconds": seconds,
        "writes": audit.count(asked, WRITES),
        "reads": audit.count(asked, READS),
        "cpu_percent_of_a_core": 100 * share,
        "rss_megabytes": processes.memory_megabytes(running.pid),
    }


async def restart(bench: Bench, pipelines: int) -> Figures:
    """A new process: until it has visited all of them."""
    bench.audit.since()
    async with operator(bench) as running:
        await _passed(running, pipelines)
        took, used = time.monotonic() - running.began, processes.cpu_seconds(running.pid)
        asked = _asked_each(await bench.audit.until_quiet(), pipelines)
        peak = processes.memory_megabytes(running.pid, "VmHWM")
    return {"first_pass_seconds": took, "cpu_seconds": used, "peak_rss_megabytes": peak, **asked}


async def resynced(bench: Bench, pipelines: int, *, resync_seconds: float) -> Figures:
    """At least one resync, after the first pass: everything is listed and visited again."""
    async with operator(bench, resync_seconds=resync_seconds) as running:
        await _passed(running, pipelines)
        await asyncio.sleep(1)
        bench.audit.since()
        before = processes.cpu_seconds(running.pid)
        await asyncio.sleep(resync_seconds * (1 + resync.JITTER) + resync_seconds / 2)
        used = processes.cpu_seconds(running.pid) - before
        return {"cpu_seconds": used, **_asked_each(bench.audit.since(), pipelines)}


async def floor(bench: Bench, wanted: Sequence[str], *, at_once: int) -> Figures:
    """The same objects by plain server-side apply, with no operator: what the servers and the machine take for it."""
    made = [await bench.bare.create(PIPELINES, pipeline(name)) for name in wanted]
    bodies = [body for each in made for body in bodies_of(each["metadata"]["name"], each["metadata"]["uid"])]
    pids = {"client": os.getpid(), **bench.servers}
    before, began = processes.cpu_by_name(pids), time.monotonic()
    jobs = [partial(bench.bare.apply, kube.path_of(names.ref_of(body)), body) for body in bodies]
    await side_by_side(jobs, at_once)
    applied = time.monotonic() - began
    pods = len(wanted) * sum(body["kind"] in ("Deployment", "StatefulSet") for body in bodies) // len(wanted)
    while await bench.bare.count_ready_pods() < pods:  # noqa: ASYNC110 - it is asked of a server
        await asyncio.sleep(1)
    return {
        "objects": len(bodies),
        "applied_seconds": applied,
        "settled_seconds": time.monotonic() - began,
        "cpu_seconds": processes.since(before, pids),
    }


async def _all_complete(seen: Watched, wanted: Sequence[str]) -> None:
    left = list(wanted)

    def is_so() -> bool:
        left[:] = [name for name in left if seen.completed_at(name) is None]
        return not left

    await until(is_so, seconds=PATIENCE_SECONDS, what="all children of all pipelines")


async def _passed(running: Running, pipelines: int) -> None:
    """Every pipeline was visited, and none waits."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        metrics = await running.metrics()
        if _visits(metrics) >= pipelines and not metrics["rag_operator_queue_depth"]:
            return
        if time.monotonic() > ends_at:
            raise TimeoutError(f"the first pass took longer than {PATIENCE_SECONDS} s")
        await asyncio.sleep(0.1)


def _visits(metrics: dict[str, float]) -> float:
    return sum(value for name, value in metrics.items() if name.startswith("rag_operator_reconciles_total"))


def _asked_each(asked: audit.Asked, pipelines: int) -> Figures:
    """Of each pipeline; lists and the Lease aside."""
    gets = audit.count(asked, frozenset({"get"}))
    requests = {f"{verb} {resource}": number for (verb, resource), number in sorted(asked.items())}
    return {"gets_each": gets / pipelines, "writes": audit.count(asked, WRITES), "requests": requests}
