"""The composition root: health server, lease, then workers, resync and watches, until a signal or a lost lease."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from structlog.typing import Processor

from rag_operator import canary, crd, health, kube, login, metrics, names, probe, settings, watch
from rag_operator.children import Children
from rag_operator.errors import OperatorError
from rag_operator.health import Health
from rag_operator.lease import Elector, Timing
from rag_operator.names import Key, Ref
from rag_operator.probe import Prober
from rag_operator.queue import WorkQueue, work
from rag_operator.reconcile import Reconciler
from rag_operator.resync import Resync
from rag_operator.settings import Settings

DRAIN_SECONDS = 10.0

log = structlog.get_logger()


def main() -> None:
    flags = settings.parse(sys.argv[1:])
    if flags.command == "crds":
        sys.stdout.write(crd.build_yaml())
        return
    try:
        chosen = settings.from_process(flags)
        set_up_logging(chosen.log_level)
        asyncio.run(run(chosen))
    except OperatorError as stopped:
        sys.exit(f"rag-operator: {stopped}")


async def run(chosen: Settings) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    seen = Health(longest_run_seconds=queue.longest_run_seconds, deadline_seconds=chosen.deadline_seconds)
    seen.refresh = queue.measure
    lease = Ref(names.LEASE, chosen.lease_namespace, chosen.lease_name)
    async with (
        health.serve(seen, port=chosen.health_port),
        kube.connect(login.connection, identity=chosen.pod_name) as api,
    ):
        timing = Timing.of(chosen.lease_seconds)
        elector = Elector(api, lease, chosen.pod_name, monotonic=time.monotonic, timing=timing)
        seen.ready = True
        if await _is_done(elector.acquire()):
            metrics.LEADER.set(1)
            async with _prober(chosen, queue) as prober:
                await _lead(chosen, api, queue, elector, seen, prober)
            await elector.release()


@asynccontextmanager
async def _prober(chosen: Settings, queue: WorkQueue[Key]) -> AsyncIterator[Prober | None]:
    """None where runtimes cannot be reached, as from outside the cluster."""
    if not chosen.probe_seconds:
        yield None
        return
    async with probe.connect() as session:
        yield Prober(session, queue.add, period_seconds=chosen.probe_seconds, proxy=chosen.probe_proxy)


async def _lead(
    chosen: Settings,
    api: kube.Client,
    queue: WorkQueue[Key],
    elector: Elector,
    seen: Health,
    prober: Prober | None,
) -> None:
    """Everything that the leader does. What must outlive kopf is started before it, for it ends all younger tasks."""
    children = Children()
    reconciler = Reconciler(
        api,
        children,
        chosen.release,
        lambda: datetime.now(UTC),
        instance=chosen.pod_name,
        prober=prober,
        overlap_seconds=chosen.key_overlap_seconds,
    )
    resync = Resync(api, children, queue, reconciler, namespaces=chosen.namespaces or (None,))
    holding = asyncio.create_task(elector.hold())
    holding.add_done_callback(_end)
    seen.ready = False
    if not await _is_done(resync.prime()):
        return
    seen.ready = True
    tasks = [
        asyncio.create_task(work(queue, reconciler.visit, deadline_seconds=chosen.deadline_seconds))
        for _ in range(chosen.workers)
    ]
    tasks.append(asyncio.create_task(resync.run(period_seconds=chosen.resync_seconds)))
    tasks.append(asyncio.create_task(canary.listen(api, elector.lease, patience_seconds=chosen.deaf_seconds)))
    if prober:
        tasks.append(asyncio.create_task(prober.run()))
    for task in tasks:
        task.add_done_callback(_end)
    await watch.run(queue, children, login.connection, namespaces=chosen.namespaces, identity=chosen.pod_name)
    await _drain(queue, [*tasks, holding])


async def _drain(queue: WorkQueue[Key], tasks: list[asyncio.Task[None]]) -> None:
    """Let the visits under way come to their end, then stop."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await queue.settle()
    except TimeoutError:
        log.warning("visits cut off", seconds=DRAIN_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _is_done(work_: Coroutine[None, None, None]) -> bool:
    """Whether it came to its end; False when a signal to stop came first. Later on, kopf takes the signals."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    doing, waiting = asyncio.create_task(work_), asyncio.create_task(told.wait())
    await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (doing, waiting):
        if not task.done():
            task.cancel()
    await asyncio.wait({doing, waiting})
    if doing.cancelled():
        return False
    doing.result()
    return True


def _end(task: asyncio.Task[None]) -> None:
    """At once and without a farewell: with the lease lost another replica may write already; and a process
    without a worker or without the resync would only look alive."""
    if task.cancelled():
        return
    log.error("ending", error=repr(task.exception()))
    sys.stdout.flush()
    os._exit(1)


def set_up_logging(level: str) -> None:
    """One JSON object a line, from our code and from the libraries."""
    number = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer())
    )
    logging.basicConfig(level=max(number, logging.WARNING) if level != "DEBUG" else number, handlers=[handler])


if __name__ == "__main__":
    main()
