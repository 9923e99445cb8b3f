"""A local stand-in for the Gemini API, for the real client library over loopback. A test chooses its failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "test-key"
SLOWNESS_SECONDS = 3.0


@dataclass
class Gemini:
    """What the server answers, and what it was asked. `failure` is one of FAILURES."""

    text: str = "The answer is written here [1]."
    failure: str | None = None
    url: str = ""
    prompts: list[str] = field(default_factory=list)
    calls: int = 0

    def respond(self, path: str, body: Mapping[str, Any] | None, key: str | None) -> tuple[int, bytes]:
        self.calls += 1
        if key != KEY:
            return _error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        if self.failure is not None:
            time.sleep(SLOWNESS_SECONDS if self.failure == "slow" else 0)
            return FAILURES[self.failure]
        if body is None:
            return 200, _encoded({"name": path.removeprefix("/v1beta/"), "displayName": "stand-in"})
        self.prompts.append(body["contents"][0]["parts"][0]["text"])
        return 200, _encoded(_candidate(self.text))


def _candidate(text: str) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 120, "candidatesTokenCount": 9, "totalTokenCount": 129},
        "modelVersion": "stand-in",
    }


def _error(status: int, name: str, message: str) -> tuple[int, bytes]:
    return status, _encoded({"error": {"code": status, "message": message, "status": name}})


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


FAILURES: dict[str, tuple[int, bytes]] = {
    "quota": _error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "broken": _error(500, "INTERNAL", "An internal error has occurred."),
    "overloaded": _error(503, "UNAVAILABLE", "The model is overloaded."),
    "unauthorized": _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "unknown model": _error(404, "NOT_FOUND", "models/x is not found."),
    "prompt blocked": (200, _encoded({"promptFeedback": {"blockReason": "SAFETY"}})),
    "answer blocked": (200, _encoded({"candidates": [{"finishReason": "SAFETY", "index": 0}]})),
    "empty": (200, _encoded(_candidate("  "))),
    "slow": (200, _encoded(_candidate("Too late [1]."))),
    "no JSON": (200, b"<html>a proxy's page</html>"),
    "other JSON": (200, b'{"candidates": "none"}'),
    "a tower of brackets": (200, b"[" * 200_000),
    "no end": (200, _encoded(_candidate("word " * 1_000_000))),
}


@contextmanager
def gemini_server() -> Iterator[Gemini]:
    """Serve on a free port of loopback until the block ends."""
    gemini = Gemini()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Mapping[str, Any] | None) -> None:
            status, data = gemini.respond(self.path, body, self.headers.get("x-goog-api-key"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """The tests say what went wrong."""

        def handle(self) -> None:
            # A client that gave up waiting is what some tests are about.
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gemini.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield gemini
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
