"""A server for tests: the one that RAGOPS_TEST_QDRANT_URL names, else the test server in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    url: str
    api_key: str | None = None
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def remove(self, prefix: str) -> None:
        """Drop what a test made: all collections of that prefix."""
        headers = {"api-key": self.api_key} if self.api_key else {}
        with httpx.Client(base_url=self.url, headers=headers, timeout=60) as client:
            found = client.get("/collections").raise_for_status().json()["result"]["collections"]
            for name in (collection["name"] for collection in found):
                if name.startswith(prefix):
                    client.delete(f"/collections/{name}").raise_for_status()


@contextmanager
def named_or_started(storage: Path) -> Iterator[Running]:
    if url := os.environ.get("RAGOPS_TEST_QDRANT_URL"):
        yield Running(url, os.environ.get("RAGOPS_TEST_QDRANT_API_KEY"))
        return
    with started(storage, api_key="a key for tests") as running:
        yield running


@contextmanager
def started(storage: Path, *, api_key: str | None = None, port: int = 0) -> Iterator[Running]:
    command = [sys.executable, "-m", "tests.qdrant_server", "--port", str(port), "--storage", str(storage)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    if api_key:
        environ["QDRANT__SERVICE__API_KEY"] = api_key
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("listening on "), "the test server did not start"
            yield Running(said.removeprefix("listening on ").strip(), api_key, process)
        finally:
            process.terminate()
            process.wait(timeout=20)
