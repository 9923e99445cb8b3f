"""compose.yaml: valid as Compose reads it, and in step with the runtime's settings and the operator's Qdrant."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_operator.settings import QDRANT_IMAGE
from rag_runtime import settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def defaults(environment: dict[str, str]) -> dict[str, str]:
    """What Compose makes of it where nothing is set: ${NAME:-default} becomes the default."""
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in environment.items()}


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that answers everything with this status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_it_is_what_the_compose_specification_allows() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(ROOT / "compose.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_runtime_starts_with_its_environment() -> None:
    loaded = settings.load(defaults(SERVICES["runtime"]["environment"]))
    assert loaded.qdrant_url == "http://qdrant:6333"
    assert not loaded.api_key_required


def test_both_have_one_key_and_only_this_machine_reaches_them() -> None:
    keys = (
        SERVICES["runtime"]["environment"]["QDRANT_API"],
        SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"],
    )
    assert keys[0] == keys[1]
    assert "ports" not in SERVICES["qdrant"]
    assert [port.partition(":")[0] for port in SERVICES["runtime"]["ports"]] == ["127.0.0.1"]


def test_qdrant_is_the_one_that_the_operator_runs() -> None:
    assert SERVICES["qdrant"]["image"] == QDRANT_IMAGE


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_keeps_its_data_bounds_its_logs_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert [volume.partition(":")[0] for volume in service["volumes"]] == [name]
    assert name in COMPOSE["volumes"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_the_health_check_of_qdrant_tells_ready_from_not() -> None:
    """As written, but against a server of our own: it reads the status line."""
    _, shell, flag, script = SERVICES["qdrant"]["healthcheck"]["test"]
    for status, code in ((200, 0), (503, 1)):
        with answering(status) as port:
            done = subprocess.run([shell, flag, script.replace("6333", str(port))], timeout=10, check=False)
        assert done.returncode == code
