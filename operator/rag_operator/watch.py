"""kopf's decorators, and nothing else: an event becomes the key of a pipeline in the queue.

No handler of kopf's that stores progress, adds finalizers or can fail: those are what goes wrong in operators.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kopf
from kopf._cogs.clients.errors import APIError
from kopf._cogs.clients.watching import WatchingError
from kopf._core.engines.peering import Identity

from rag_operator import metrics, names
from rag_operator.children import Children
from rag_operator.errors import Deaf
from rag_operator.names import Key
from rag_operator.queue import WorkQueue

# A change of a child comes seldom alone: what follows within this time is one visit.
COALESCE_SECONDS = 0.1


class Forever:
    """Pauses between tries, without end: kopf would else give up and take the whole process with it."""

    def __init__(self, cap_seconds: float) -> None:
        self._cap_seconds = cap_seconds

    def __iter__(self) -> Iterator[float]:
        pause = 1.0
        while True:
            yield pause * random.uniform(0.8, 1.2)  # noqa: S311
            pause = min(pause * 2, self._cap_seconds)


async def run(
    queue: WorkQueue[Key],
    children: Children,
    login: Callable[[], kopf.ConnectionInfo],
    *,
    namespaces: Sequence[str],
    identity: str,
) -> None:
    """Until a signal to stop; Deaf when a watch cannot go on, as when its kind is no more.

    Without an identity kopf asks for the user's name, which a pod's user has none of.
    """
    try:
        await kopf.operator(
            registry=build_registry(queue, children, login),
            settings=build_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            identity=Identity(identity),
        )
    except (APIError, WatchingError) as ended:
        raise Deaf(f"a watch ended: {ended}: is the CRD installed? Started anew, the operator waits for it") from ended


def build_registry(
    queue: WorkQueue[Key], children: Children, login: Callable[[], kopf.ConnectionInfo]
) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    judged: dict[Key, str] = {}

    @kopf.on.login(registry=registry)
    def connection(**_: Any) -> kopf.ConnectionInfo:
        return login()

    @kopf.on.event(names.GROUP, names.PIPELINE.version, names.PIPELINE.plural, registry=registry)
    async def pipeline_changed(event: Any, **_: Any) -> None:
        body = event["object"]
        key = names.key_of(body)
        _count(names.PIPELINE)
        now = "" if event["type"] == "DELETED" else _signature(body)
        # Our own status patches come back as events, and call for no visit.
        if judged.get(key) != now:
            queue.add(key)
        if now:
            judged[key] = now
        else:
            judged.pop(key, None)

    for kind in names.WATCHED:
        _watch_children(kind, queue, children, registry)
    return registry


def build_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    # Which kinds there are does not change while we run, and namespaces are named: neither needs a watch or a right.
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Forever(cap_seconds=30)
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.chunk_size = 500
    # Each object that was heard of has a task of kopf's for so long: after a listing, that is all of them at once.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.error_delays = (1, 2, 5, 10, 15, 30)
    settings.process.ultimate_exiting_timeout = 25
    for kind in names.WATCHED:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = names.MANAGED_SELECTOR
    return settings


def _watch_children(
    kind: names.Kind, queue: WorkQueue[Key], children: Children, registry: kopf.OperatorRegistry
) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"{kind.plural}-changed")
    async def child_changed(event: Any, **_: Any) -> None:
        _count(kind)
        body = {**event["object"], "apiVersion": kind.api_version, "kind": kind.name}
        key = children.note(body, gone=event["type"] == "DELETED")
        if key:
            queue.add(key, after_seconds=COALESCE_SECONDS)


def _signature(body: Any) -> str:
    """What of a pipeline calls for a visit: its spec, its deletion, what people wrote on it."""
    meta = body["metadata"]
    parts = [
        meta["uid"],
        meta["generation"],
        meta.get("deletionTimestamp"),
        meta.get("annotations"),
        meta.get("labels"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _count(kind: names.Kind) -> None:
    metrics.WATCH_EVENTS.labels(kind.name).inc()
    metrics.WATCH_LAST_EVENT.labels(kind.name).set(time.time())
