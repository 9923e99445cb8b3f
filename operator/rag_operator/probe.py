"""Asks each runtime through its Service: does a question find its way to the index and back, and how big is that?

It runs beside the visits and never in one: what it finds is a fact that the next visit judges. It writes nothing.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import structlog

from rag_operator.names import Key
from rag_operator.queue import DONE, Again, WorkQueue
from rag_operator.state import Probed, Problem, Reason

CONCURRENCY = 8
TIMEOUT_SECONDS = 10.0
# While something fails it is looked at more often than in good times.
ANXIOUS_SECONDS = 10.0
FIRST_SECONDS = 0.2
# A probe's answers are small; whatever else answers in the runtime's place need not be.
MAX_BYTES = 256 * 1024
ERROR_CHARACTERS = 300

OTHER_CERTIFICATE = (
    "shows another certificate than the Secret of access.tls holds: it is being renewed, or something else answers"
)

# A failing check, and which reason it is. A language model that fails makes answers shorter, and none wrong.
FAILING_CHECKS = {"database": Reason.VECTOR_STORE_UNAVAILABLE, "embeddings": Reason.PROBE_FAILING}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    """A runtime, and a key of its that may query and no more; where it speaks TLS, the certificate it shows."""

    url: str
    key: str = field(repr=False)
    certificate: str = field(default="", repr=False)


class Prober:
    """`want` says who is to be asked, `found` what was answered last; `tell` is called when that changed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tell: Callable[[Key], None],
        *,
        period_seconds: float,
        proxy: str | None = None,
    ) -> None:
        self._session = session
        self._tell = tell
        self._period = period_seconds
        self._proxy = proxy
        self._due: WorkQueue[Key] = WorkQueue()
        self._targets: dict[Key, Target] = {}
        self._found: dict[Key, Probed] = {}
        self._counted_at: dict[Key, float] = {}

    def want(self, key: Key, target: Target | None) -> None:
        """From now on; None: no longer. What is being asked already goes on being so."""
        if target is None:
            self._targets.pop(key, None)
            self._found.pop(key, None)
            self._counted_at.pop(key, None)
        elif self._targets.get(key) != target:
            self._targets[key] = target
            self._due.add(key, after_seconds=FIRST_SECONDS)

    def found(self, key: Key) -> Probed | None:
        return self._found.get(key)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(CONCURRENCY):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.take()
            again = DONE
            try:
                if target := self._targets.get(key):
                    again = await self._look(key, target)
            except Exception:
                # A defect that one runtime brings to light must not end the asking of all others.
                log.exception("probe failed", key=str(key))
                again = Again(after_seconds=self._period)
            self._due.done(key, again)

    async def _look(self, key: Key, target: Target) -> Again:
        before = self._found.get(key) or Probed()
        probed = await self._ask(key, target, before)
        if key not in self._targets:
            return DONE
        if self._found.get(key) != probed:
            self._found[key] = probed
            self._tell(key)
        fine = probed.unreached is None and probed.failing is None
        pause = self._period if fine else min(self._period, ANXIOUS_SECONDS)
        return Again(after_seconds=pause * random.uniform(0.9, 1.1))  # noqa: S311

    async def _ask(self, key: Key, target: Target, before: Probed) -> Probed:
        """All questions together within the time limit. What cannot be counted now keeps its last count."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, answer = await self._retrieve(target)
                checks = await self._checks(target)
                points = before.points if status != 200 else await self._points(key, target, before.points)
        except TimeoutError:
            return Probed(unreached=f"{target.url} gave no answer in {TIMEOUT_SECONDS:g} s", points=before.points)
        except aiohttp.ServerFingerprintMismatch:
            return Probed(unreached=f"{target.url} {OTHER_CERTIFICATE}", points=before.points)
        except (aiohttp.ClientError, OSError, ValueError) as away:
            reason = f"{type(away).__name__}: {away}"[:ERROR_CHARACTERS]
            return Probed(unreached=f"{target.url} cannot be asked from here: {reason}", points=before.points)
        return replace(judge(status, answer, checks), points=points)

    async def _retrieve(self, target: Target) -> tuple[int, Any]:
        body = {"query": "ragops", "top_k": 1}
        return await self._call("POST", f"{target.url}/v1/retrieve", target, body)

    async def _checks(self, target: Target) -> Mapping[str, Any]:
        _, answer = await self._call("GET", f"{target.url}/health", target)
        checks = answer.get("checks") if isinstance(answer, dict) else None
        return checks if isinstance(checks, dict) else {}

    async def _points(self, key: Key, target: Target, before: int | None) -> int | None:
        now = asyncio.get_running_loop().time()
        if now - self._counted_at.get(key, -self._period) < self._period * 0.9:
            return before
        self._counted_at[key] = now
        _, answer = await self._call("GET", f"{target.url}/v1/config", target)
        points = answer.get("points") if isinstance(answer, dict) else None
        return points if isinstance(points, int) else before

    async def _call(self, method: str, url: str, target: Target, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {target.key}"}
        async with self._session.request(
            method,
            url,
            json=body,
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
            ssl=pinned(target.certificate),
        ) as response:
            text = await response.content.read(MAX_BYTES)
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, None


def pinned(chain: str) -> aiohttp.Fingerprint | bool:
    """Only the very certificate that the Secret holds, the first of its chain: its issuer is often a private one, and
    its names need not be the Service's. Without one, whom the machine trusts."""
    start, end = chain.find(ssl.PEM_HEADER), chain.find(ssl.PEM_FOOTER)
    if start < 0 or end < start:
        return True
    try:
        first = ssl.PEM_cert_to_DER_cert(chain[start : end + len(ssl.PEM_FOOTER)])
    except binascii.Error:
        return True
    return aiohttp.Fingerprint(hashlib.sha256(first).digest())


def judge(status: int, answer: Any, checks: Mapping[str, Any]) -> Probed:
    """What the answer to a question and the runtime's own checks say together."""
    told = {name: _error(check) for name, check in checks.items() if _error(check)}
    disk = told.get("disk")
    if status in (200, 429):
        return Probed(disk=disk)
    for name, reason in FAILING_CHECKS.items():
        if name in told:
            return Probed(failing=Problem(reason, f"a question fails at {name}: {told[name]}"), disk=disk)
    if status in (401, 403):
        return Probed(unreached="the runtime does not know the operator's key yet", disk=disk)
    detail = answer.get("detail") if isinstance(answer, dict) else None
    if status >= 500 and isinstance(detail, str):
        return Probed(failing=Problem(Reason.PROBE_FAILING, f"a question fails: {_line(detail)}"), disk=disk)
    return Probed(unreached=f"something else than the runtime answers, with status {status}")


def _error(check: Any) -> str:
    failing = isinstance(check, Mapping) and check.get("status") not in ("ok", None)
    return _line(str(check.get("error") or "it fails")) if failing else ""


def _line(text: str) -> str:
    return " ".join(text.split())[:ERROR_CHARACTERS]


@asynccontextmanager
async def connect() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections are not kept: a Service would else be asked through the same pod for ever."""
    # The limit for all questions together is the only one: a second timer that ends at the same moment ends the task.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session
