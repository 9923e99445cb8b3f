"""When a pipeline's objects appeared and when it said that it was ready, as a watch of the API server tells."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.operator.client import NAMESPACE, PIPELINES, Bare, Body
from rag_operator import desired, kube
from rag_operator.names import Kind, Ref
from tests import builders

POLL_SECONDS = 0.05
SETTLED = ("Ready", "Updated")


@dataclass
class Watched:
    """Times are time.monotonic()'s."""

    appeared: dict[tuple[str, str], float] = field(default_factory=dict)
    settled: dict[str, float] = field(default_factory=dict)

    def completed_at(self, pipeline: str) -> float | None:
        """When the last of its children was there."""
        times = [self.appeared.get((ref.kind.plural, ref.name)) for ref in children_of(pipeline)]
        return None if None in times else max(each for each in times if each is not None)


def children_of(pipeline: str) -> frozenset[Ref]:
    return desired.build(builders.app(pipeline, NAMESPACE), builders.inputs()).wanted


def bodies_of(pipeline: str, uid: str) -> list[Body]:
    """What the operator would apply for it."""
    plan = desired.build(builders.app(pipeline, NAMESPACE), builders.inputs())
    bodies = [*plan.secrets, *plan.children]
    return list(json.loads(json.dumps(bodies).replace(f"uid-of-{pipeline}", uid)))


@asynccontextmanager
async def watching(bare: Bare) -> AsyncIterator[Watched]:
    found = Watched()
    kinds = {ref.kind for ref in children_of("any")}
    tasks = [asyncio.create_task(_watch_children(bare, kind, found)) for kind in kinds]
    tasks.append(asyncio.create_task(_watch_pipelines(bare, found)))
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _watch_children(bare: Bare, kind: Kind, found: Watched) -> None:
    path = kube.path_of(Ref(kind, NAMESPACE, ""))
    async for type_, body in bare.watch(path, only_metadata=True):
        if type_ == "ADDED":
            found.appeared.setdefault((kind.plural, body["metadata"]["name"]), time.monotonic())


async def _watch_pipelines(bare: Bare, found: Watched) -> None:
    async for _, body in bare.watch(PIPELINES):
        if is_settled(body):
            found.settled.setdefault(body["metadata"]["name"], time.monotonic())


def is_settled(body: Body) -> bool:
    conditions = {each["type"]: each["status"] for each in body.get("status", {}).get("conditions", [])}
    return all(conditions.get(type_) == "True" for type_ in SETTLED)


async def until(is_so: Callable[[], bool], *, seconds: float, what: str) -> float:
    """How long it took."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} did not come about in {seconds:g} s")
        await asyncio.sleep(POLL_SECONDS)
    return time.monotonic() - began
