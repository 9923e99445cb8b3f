"""The belt beside the watches: every so often list everything anew and visit every pipeline, spread over the period."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from rag_operator import names, observe
from rag_operator.children import Children
from rag_operator.errors import ApiError, Forbidden
from rag_operator.kube import Client
from rag_operator.names import Key
from rag_operator.queue import WorkQueue
from rag_operator.reconcile import Reconciler

JITTER = 0.2
RETRY_SECONDS = 5.0

log = structlog.get_logger()


class Resync:
    """`namespaces` of None alone means all of them."""

    def __init__(
        self,
        api: Client,
        children: Children,
        queue: WorkQueue[Key],
        reconciler: Reconciler,
        *,
        namespaces: Sequence[str | None],
    ) -> None:
        self._api = api
        self._children = children
        self._queue = queue
        self._reconciler = reconciler
        self._namespaces = namespaces

    async def prime(self) -> None:
        """Fill the map of children, so that the first visits need not ask for each. Waits for the CRD, but not for a
        namespace that we may not read: one that was deleted must not keep the operator from all others."""
        while True:
            failed = await self._list_all(period_seconds=0)
            if len(failed) < len(self._namespaces) and all(isinstance(each, Forbidden) for each in failed):
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def run(self, *, period_seconds: float) -> None:
        """For ever; a listing that fails is left to the next round."""
        while True:
            await asyncio.sleep(period_seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            await self._list_all(period_seconds=period_seconds / 2)

    async def _list_all(self, *, period_seconds: float) -> list[ApiError]:
        """What went wrong, one entry a namespace."""
        failed = []
        for namespace in self._namespaces:
            try:
                await self._list(namespace, period_seconds=period_seconds)
            except ApiError as away:
                hint = " (is the CRD installed?)" if away.status == 404 else ""
                log.warning(f"cannot list{hint}", namespace=namespace, error=str(away))
                failed.append(away)
        return failed

    async def _list(self, namespace: str | None, *, period_seconds: float) -> None:
        for kind in (*names.WATCHED, *names.OPTIONAL):
            # At once: a watch that brings the same a moment later finds nothing new in it.
            for key in await observe.refresh(self._api, self._children, kind, namespace):
                self._queue.add(key)
        async for body in self._api.list(names.PIPELINE, namespace):
            key = names.key_of(body)
            self._reconciler.look_again(key)
            self._queue.add(key, after_seconds=random.uniform(0, period_seconds))  # noqa: S311
