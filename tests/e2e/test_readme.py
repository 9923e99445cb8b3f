"""Every command of the README does what it says, as it is written there."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.ctrl_c import HEARS_CTRL_C
from tests.e2e.installed import ROOT, wait_for

pytestmark = pytest.mark.e2e
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
DEMO, RUN, INSTALL, ASK = BLOCKS
NAME = "readme"
# The images of this tree are in no registry: what is installed again keeps the demo's.
PREAMBLE = f"""
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null' EXIT
eval "$(python -m tests.cluster env {NAME})"
helm() {{ command helm "$@" --reuse-values; }}
curl() {{ command curl --silent --show-error --fail --retry 10 --retry-connrefused "$@"; }}
rag-runtime() {{ sleep 3; command rag-runtime "$@"; }}
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """What `make demo` prints. It runs beside the cluster of the other tests."""
    try:
        yield shell(f"{DEMO.strip()} DEMO={NAME}")
    finally:
        shell(f"make down DEMO={NAME}")


def shell(script: str) -> str:
    path = os.pathsep.join([str(ROOT / ".venv/bin"), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_demo_answers_with_citations_and_shows_the_pipeline(demo: str) -> None:
    assert re.search(r"A: .*twenty minutes.*\n +\[1\] examples/documents/crew-handbook.pdf page 2", demo), demo
    assert re.search(r"A: .*72.*\n +\[1\] examples/documents/vessels.csv row 3", demo), demo
    assert re.search(r"^NAME +READY +STATUS +URL", demo, re.MULTILINE), demo
    assert re.search(r"^handbook +True", demo, re.MULTILINE), demo


def test_the_commands_for_an_own_cluster_end_in_an_answer(demo: str) -> None:
    """On another port, for 8000 may be somebody else's."""
    printed = shell(PREAMBLE + INSTALL + ASK.replace("8000", str(free_port())))
    assert "ragpipeline.ragops.dev/handbook condition met" in printed
    assert '"answer"' in printed
    assert "72" in printed


def test_make_run_serves_alone(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "DATA_DIR": str(tmp_path / "data")}
    command = [*HEARS_CTRL_C, "bash", "-c", RUN]
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as process:
        try:
            wait_for("the runtime to be ready", lambda: is_ready(port), seconds=60)
        finally:
            os.killpg(process.pid, signal.SIGINT)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    except httpx.HTTPError:
        return False
