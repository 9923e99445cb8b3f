"""A local stand-in for the Gemini API, for the real client library over loopback. A test chooses its failures."""

from __future__ import annotations

import json
import re
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "test-key"
SLOWNESS_SECONDS = 3.0
STALL_SECONDS = 30.0

Response = tuple[int, Sequence[bytes]]


@dataclass
class Gemini:
    """What the server answers, and what it was asked.

    `failure` is one of FAILURES, of all calls or of so many first ones as `failing_calls` says. `breaks` is one of
    BREAKS: what happens to the stream in place of its end. `gone` is set when a client leaves a stream that stalls.
    """

    text: str = "The answer is written here [1]."
    failure: str | None = None
    failing_calls: int | None = None
    breaks: str | None = None
    retry_after: str | None = None
    url: str = ""
    prompts: list[str] = field(default_factory=list)
    systems: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    calls: int = 0
    gone: threading.Event = field(default_factory=threading.Event)

    def respond(self, path: str, body: Mapping[str, Any] | None, key: str | None) -> Response:
        """The status, and the parts of the body."""
        self.calls += 1
        self.paths.append(path)
        if key != KEY:
            return _error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        if self.failure is not None and self.calls <= (self.failing_calls or self.calls):
            time.sleep(SLOWNESS_SECONDS if self.failure == "slow" else 0)
            return FAILURES[self.failure]
        if body is None:
            return 200, [_encoded({"name": path.removeprefix("/v1beta/"), "displayName": "stand-in"})]
        self.prompts.append(body["contents"][0]["parts"][0]["text"])
        self.systems.append(body["systemInstruction"]["parts"][0]["text"])
        return 200, self._words()

    def _words(self) -> list[bytes]:
        words = re.findall(r"\S+\s*", self.text)
        parts = [_event(_candidate(word, count)) for count, word in enumerate(words, start=1)]
        return [*parts, *BREAKS.get(self.breaks or "", ())]


def _candidate(text: str, tokens: int = 9, reason: str = "STOP") -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 120, "candidatesTokenCount": tokens, "totalTokenCount": 120 + tokens},
        "modelVersion": "stand-in",
    }


def _error(status: int, name: str, message: str, **more: object) -> Response:
    return status, [_encoded({"error": {"code": status, "message": message, "status": name, **more}})]


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def _event(value: object) -> bytes:
    return b"data: " + _encoded(value) + b"\r\n\r\n"


RETRY_INFO = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"}]
FAILURES: dict[str, Response] = {
    "quota": _error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    "quota for a while": _error(429, "RESOURCE_EXHAUSTED", "Please retry in 20 s.", details=RETRY_INFO),
    "broken": _error(500, "INTERNAL", "An internal error has occurred."),
    "overloaded": _error(503, "UNAVAILABLE", "The model is overloaded."),
    "unauthorized": _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "unknown model": _error(404, "NOT_FOUND", "models/x is not found."),
    "prompt blocked": (200, [_event({"promptFeedback": {"blockReason": "SAFETY"}})]),
    "answer blocked": (200, [_event({"candidates": [{"finishReason": "SAFETY", "index": 0}]})]),
    "empty": (200, [_event(_candidate("  "))]),
    "nothing": (200, []),
    "slow": (200, [_event(_candidate("Too late [1]."))]),
    "no JSON": (200, [b"<html>a proxy's page</html>"]),
    "other JSON": (200, [_event({"candidates": "none"})]),
    "a tower of brackets": (200, [b"data: " + b"[" * 200_000 + b"\r\n\r\n"]),
    "no end": (200, [_event(_candidate("word " * 1_000_000))]),
}
CUT, STALL = b"cut", b"stall"
BREAKS: dict[str, Sequence[bytes]] = {
    "cut": [CUT],
    "stalls": [STALL],
    "error": [_event(json.loads(FAILURES["overloaded"][1][0]))],
    "refusal": [_event(_candidate("", reason="SAFETY"))],
    "no JSON": [b"data: {\r\n\r\n"],
}


class Handler(BaseHTTPRequestHandler):
    """One connection; a subclass names the `gemini` that it speaks for."""

    protocol_version = "HTTP/1.1"
    gemini: Gemini

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Mapping[str, Any] | None) -> None:
        status, parts = self.gemini.respond(self.path, body, self.headers.get("x-goog-api-key"))
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if "alt=sse" in self.path else "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        if self.gemini.retry_after is not None and status == 429:
            self.send_header("Retry-After", self.gemini.retry_after)
        self.end_headers()
        for part in parts:
            if part in (CUT, STALL):
                self._break_off(stall=part == STALL)
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _break_off(self, *, stall: bool) -> None:
        """End without an end, a stall only once the client has left."""
        self.close_connection = True
        if stall and select.select([self.connection], [], [], STALL_SECONDS)[0]:
            self.gemini.gone.set()

    def log_message(self, *_: object) -> None:
        """The tests say what went wrong."""

    def handle(self) -> None:
        # A client that gave up waiting is what some tests are about; it may have left before the stall.
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True
            self.gemini.gone.set()


@contextmanager
def gemini_server() -> Iterator[Gemini]:
    """Serve on a free port of loopback until the block ends."""
    gemini = Gemini()
    handler = type("GeminiHandler", (Handler,), {"gemini": gemini})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
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
