"""The belt beside the watches: every so often list everything anew and visit every pipeline, spread over the period."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from rag_operator import names, observe
from rag_operator.children import Children
from rag_operator.errors import ApiError
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
        """Fill the map of children, so that the first visits need not ask for each. Waits for the CRD."""
        while True:
            try:
                await self._list(period_seconds=0)
            except ApiError as away:
                hint = " (is the CRD installed?)" if away.status == 404 else ""
                log.warning(f"cannot list yet{hint}", error=str(away))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def run(self, *, period_seconds: float) -> None:
        """For ever; a listing that fails is left to the next round."""
        while True:
            await asyncio.sleep(period_seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            try:
                await self._list(period_seconds=period_seconds / 2)
            except ApiError as away:
                log.warning("resync put off", error=str(away))

    async def _list(self, *, period_seconds: float) -> None:
        for namespace in self._namespaces:
            for kind in names.WATCHED:
                await observe.refresh(self._api, self._children, kind, namespace)
            async for body in self._api.list(names.PIPELINE, namespace):
                key = names.key_of(body)
                self._reconciler.look_again(key)
                self._queue.add(key, after_seconds=random.uniform(0, period_seconds))  # noqa: S311
