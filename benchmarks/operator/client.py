"""A bare client of the API server: it creates pipelines, applies objects and watches, with nothing of ours in it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Body = dict[str, Any]
NAMESPACE = "bench"
PIPELINES = f"/apis/ragops.dev/v1alpha1/namespaces/{NAMESPACE}/ragpipelines"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY = {"Content-Type": "application/apply-patch+yaml"}


class Bare:
    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session, self._server = session, server

    async def create(self, path: str, body: Body) -> Body:
        return await self._send("POST", path, body, {})

    async def apply(self, path: str, body: Body) -> Body:
        return await self._send("PATCH", f"{path}?fieldManager=floor&force=true", body, APPLY)

    async def merge(self, path: str, change: Body) -> Body:
        return await self._send("PATCH", path, change, {"Content-Type": "application/merge-patch+json"})

    async def count_ready_pods(self) -> int:
        pods = await self.list(f"/api/v1/namespaces/{NAMESPACE}/pods?resourceVersion=0")
        ready = {"type": "Ready", "status": "True"}
        return sum(any(ready.items() <= each.items() for each in pod["status"].get("conditions", [])) for pod in pods)

    async def list(self, path: str) -> list[Body]:
        return list((await self._send("GET", path, None, {}))["items"])

    async def watch(self, path: str, *, only_metadata: bool = False) -> AsyncIterator[tuple[str, Body]]:
        """Events from now on, by type; for as long as it is read."""
        query = {"watch": "1", "timeoutSeconds": "3600"}
        headers = {"Accept": METADATA if only_metadata else "application/json"}
        async with self._session.get(self._server + path, params=query, headers=headers) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                yield event["type"], event["object"]

    async def _send(self, method: str, path: str, body: Body | None, headers: dict[str, str]) -> Body:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json", **headers}
        async with self._session.request(method, self._server + path, data=data, headers=headers) as answer:
            answer.raise_for_status()
            return dict(await answer.json())


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Bare]:
    config = yaml.safe_load(kubeconfig.read_text())  # noqa: ASYNC240 - a small file, before anything is measured
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        trust.load_cert_chain(pair.name)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    # An object's line in a watch may be long.
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=2**22) as session:
        yield Bare(session, cluster["server"])


async def side_by_side(jobs: Iterable[Callable[[], Awaitable[object]]], at_once: int) -> None:
    """All of them, that many at a time."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())


def pipeline(name: str) -> Body:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "metadata": meta, "spec": {}}
