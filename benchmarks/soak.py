"""Mixed requests at a steady rate for a while: how long each kind takes, what fails, and whether memory grows.

    python -m benchmarks.soak [--seconds 600] [--rate 50] [--url URL --pid PID]

Without a URL it starts `rag-runtime serve` itself. Requests are sent by the clock, whether earlier ones are answered or
not, and their time counts from when they were due: a service that stands still is not spared the waiting ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks.corpus import read_texts
from benchmarks.runtime.environment import OUTPUT
from benchmarks.runtime.service import Process
from benchmarks.runtime.turns import percentile

# Shares of the requests, in percent.
MIX = {"query": 25, "retrieve": 45, "ingest": 10, "delete": 8, "health": 8, "metrics": 4}
WORDS_OF_A_DOCUMENT = 400
DOCUMENTS_AT_FIRST = 200
TIMEOUT_SECONDS = 60.0


@dataclass
class Soak:
    """One service under load. `kept` are the documents that deletes may take, the oldest first."""

    client: httpx.AsyncClient
    abstracts: Sequence[str]
    questions: Sequence[str]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    kept: deque[str] = field(default_factory=deque)
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: Counter[str] = field(default_factory=Counter)
    _numbers: count[int] = field(default_factory=count)

    async def fill(self) -> None:
        """What the questions are asked about, of which deletes take nothing."""
        documents = [{"id": f"base-{n}", "text": self._text()} for n in range(DOCUMENTS_AT_FIRST)]
        response = await self.client.post("/v1/documents?wait=true", json={"documents": documents}, timeout=600)
        response.raise_for_status()

    async def run(self, seconds: float, rate: float) -> None:
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * rate)):
                due = begin + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                kind = self.chance.choices(list(MIX), list(MIX.values()))[0]
                group.create_task(self._send(kind, due))

    async def _send(self, kind: str, due: float) -> None:
        method, path, body = self._request(kind)
        try:
            response = await self.client.request(method, path, json=body)
            if response.status_code >= 400:
                self.failures[f"{kind}: {response.status_code}"] += 1
            elif kind == "ingest":
                self.kept.append(body["documents"][0]["id"])
        except httpx.HTTPError as failed:
            self.failures[f"{kind}: {type(failed).__name__}"] += 1
        self.times[kind].append((time.perf_counter() - due) * 1000)

    def _request(self, kind: str) -> tuple[str, str, Any]:
        if kind == "query":
            return "POST", "/v1/query", {"question": self.chance.choice(self.questions)}
        if kind == "retrieve":
            return "POST", "/v1/retrieve", {"query": self.chance.choice(self.questions), "top_k": 10}
        if kind == "ingest" or (kind == "delete" and not self.kept):
            document = {"id": f"soak-{next(self._numbers)}", "text": self._text()}
            return "POST", "/v1/documents", {"documents": [document]}
        if kind == "delete":
            return "DELETE", f"/v1/documents/{self.kept.popleft()}", None
        return "GET", f"/{kind}", None

    def _text(self) -> str:
        words = " ".join(self.chance.choices(self.abstracts, k=4)).split()
        return " ".join(words[:WORDS_OF_A_DOCUMENT])


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of each process, by its name."""

    mb: dict[str, float]

    @classmethod
    def of(cls, pid: int | None) -> Memory:
        """Of a service and of its store's process; nothing for a service that is not on this machine."""
        if pid is None:
            return cls({})
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        store = [int(child) for child in children if b"edge.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return cls({"service": _resident(pid), **({"store": _resident(store[0])} if store else {})})


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(soak: Soak, seconds: float, rate: float, start: Memory, end: Memory) -> str:
    lines = [
        f"### Soak: {seconds:g} s at {rate:g} requests a second, {soak.client.base_url}",
        "",
        "| requests | count | p50 ms | p95 ms | p99 ms | longest ms | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = {**soak.times, "all": [value for values in soak.times.values() for value in values]}
    for kind, times in rows.items():
        shown = " | ".join(f"{percentile(times, share):.1f}" for share in (0.5, 0.95, 0.99, 1.0))
        failed = sum(n for name, n in soak.failures.items() if kind == "all" or name.startswith(f"{kind}:"))
        lines.append(f"| {kind} | {len(times)} | {shown} | {failed} |")
    lines += ["", *(f"- {name}: {number} times" for name, number in soak.failures.items())]
    for name, before in start.mb.items():
        after = end.mb.get(name, 0.0)
        lines.append(f"- memory of the {name}: {before:.0f} MB at the start, {after:.0f} MB at the end")
    return "\n".join([*lines, ""])


async def _soak(url: str, pid: int | None, options: argparse.Namespace) -> tuple[str, dict[str, object]]:
    texts = read_texts()
    headers = {"X-API-Key": options.api_key} if options.api_key else {}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, limits=limits) as client:
        soak = Soak(client, texts.abstracts, texts.questions)
        await soak.fill()
        # A first second makes ready what is made ready once: it belongs to the start, not to a leak.
        await soak.run(min(10.0, options.seconds / 10), options.rate)
        soak.times.clear()
        start = Memory.of(pid)
        await soak.run(options.seconds, options.rate)
        end = Memory.of(pid)
    figures = {"times_ms": soak.times, "failures": soak.failures, "start_mb": start.mb, "end_mb": end.mb}
    return report(soak, options.seconds, options.rate, start, end), figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--url", help="of a running service without a rate limit; else one is started")
    parser.add_argument("--pid", type=int, help="of that service, to see its memory")
    parser.add_argument("--api-key")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="a folder for soak.json and soak.md")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ragops-soak-")))
            process = Process(folder / "data", MODEL_CACHE_DIR=str(folder / "models"))
            stack.callback(process.end)
            options.url, options.pid = f"http://127.0.0.1:{process.port}", process.pids[0]
        text, figures = asyncio.run(_soak(options.url, options.pid, options))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "soak.json").write_text(json.dumps(figures))
    (options.output / "soak.md").write_text(text)
    print(text)
    raise SystemExit(1 if figures["failures"] else 0)


if __name__ == "__main__":
    main()
