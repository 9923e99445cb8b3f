"""Every command of docs/api.md works as it is written there, against a real runtime with its own store."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_runtime.app import create_app
from rag_runtime.settings import Settings
from tests.rag_runtime.commands.processes import ROOT, Serving, serving

PAGE = (ROOT / "docs/api.md").read_text()
URL, *BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("runtime")) as process:
        process.wait_ready()
        yield process


def answers(runtime: Serving, block: str) -> list[str]:
    """What each curl of a block printed; one that gets an HTTP error fails."""
    script = 'set -eu\ncurl() { command curl --silent --show-error --fail "$@"; echo; }\n'
    script += URL.replace("http://127.0.0.1:8000", runtime.url) + block
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_commands_do_what_the_page_says(runtime: Serving) -> None:
    """In the page's order, for the later ones ask for what the first ones sent."""
    documents, removal, questions, streamed, filtered, *others = (answers(runtime, block) for block in BLOCKS)
    chat, agents, rated, operation = others
    assert [line.count('"status":"stored"') for line in documents] == [2, 1]
    assert "note-1" in removal[0]
    assert removal[1] == '{"deleted":1}'
    assert "twenty minutes before departure for vehicles" in questions[0]
    assert '"dense"' in questions[1]
    assert [line for line in streamed if line.startswith("event: ")] == [
        *("event: hits", "event: citation", "event: text", "event: done"),
    ]
    assert "twenty minutes before departure for vehicles" in chat[0]
    assert '"ragops"' in chat[1]
    assert any("twenty minutes before departure for vehicles" in line for line in agents)
    assert ['"rating":"up"' in line for line in rated] == [True, True]
    assert "opens at nine" in filtered[1]
    assert '"database"' in operation[0]
    assert '"GEMINI_API_KEY"' in operation[1]


def test_every_route_is_on_the_page(tmp_path: Path) -> None:
    routes = create_app(Settings(data_dir=tmp_path)).openapi()["paths"]
    paths = {re.sub(r"\{\w+(:path)?\}", "{id}", path) for path in routes}
    assert {path for path in paths if f"{path}`" not in PAGE and f"{path}?" not in PAGE} == set()
