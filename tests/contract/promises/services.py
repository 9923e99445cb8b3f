"""The served process in either store, with the settings of one profile; a recording proxy stands before the server."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.qdrant_server.running import Running
from tests.rag_runtime.commands.processes import Serving

FLEET = "name,cars,master\nNorthern Light,120,Ada Lind\nSouthern Cross,80,Bo Ek\nMorning Star,45,Eva Holm\n"


@dataclass
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def points(self) -> int:
        """How many points an upsert holds."""
        return len(json.loads(self.body).get("points", [])) if self.body else 0


@dataclass
class Recorder:
    """Passes requests on to the real server, and remembers them. The next `refusals` upserts get 503.

    While `hangs` is cleared, searches are not answered.
    """

    upstream: Running
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    refusals: int = 0
    hangs: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hangs.set()

    def upserts(self, collection: str) -> list[Asked]:
        """Of chunks: documents and jobs have collections of their own."""
        mine = [each for each in self.asked if each.method == "PUT" and f"/collections/{collection}__" in each.path]
        return [each for each in mine if each.path.partition("?")[0].endswith("/points") and each.points]


@contextmanager
def recording(upstream: Running) -> Iterator[Recorder]:
    recorder = Recorder(upstream)
    client = httpx.Client(base_url=upstream.url, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, dict(self.headers.items()), body)
            recorder.asked.append(asked)
            if "/points/query" in asked.path:
                recorder.hangs.wait(20)
            if recorder.refusals and asked.method == "PUT" and "/points" in asked.path and asked.points:
                recorder.refusals -= 1
                self._answer(503, b'{"status": {"error": "busy"}}')
                return
            passed_on = {
                name: value for name, value in self.headers.items() if name.lower() in ("api-key", "content-type")
            }
            answer = client.request(self.command, self.path, content=body, headers=passed_on)
            self._answer(answer.status_code, answer.content)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names are the base class's

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The tests say what went wrong."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        client.close()


@dataclass
class Service:
    """One running service: who asks it, where its store is, and what it was started with."""

    client: httpx.Client
    serving: Serving
    store: str
    collection: str
    settings: Mapping[str, str]
    recorder: Recorder | None

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, path: str, body: object, **more: Any) -> httpx.Response:
        return self.client.post(path, json=body, **more)

    def setting(self, name: str) -> object:
        """As `/v1/config` shows it."""
        return self.get("/v1/config").json()["settings"][name]

    def ingest(self, name: str = "fleet.csv", content: str = FLEET) -> dict[str, Any]:
        response = self.client.post("/v1/documents?wait=true", files=[("files", (name, content.encode()))])
        assert response.status_code == 200, response.text
        (file,) = response.json()["files"]
        assert file["status"] in ("stored", "unchanged"), file
        return dict(file)

    def texts(self, document_id: str, query: str) -> list[str]:
        """The chunks of a document that a search finds."""
        hits = self.post("/v1/retrieve", {"query": query, "top_k": 100}).json()["hits"]
        return [hit["text"] for hit in hits if hit["document_id"] == document_id]

    def metric(self, series: str) -> float:
        """The value of a series; 0 where there is none."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == series), 0.0)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in list(self.serving.lines) if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


def certify(folder: Path, name: str) -> None:
    """A certificate for 127.0.0.2, put in place at once as a mounted Secret is."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    new = {"-keyout": folder / "tls.key.new", "-out": folder / "tls.crt.new"}
    options = ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.2"]
    files = [str(part) for pair in new.items() for part in pair]
    subprocess.run([*command, *files, *options], check=True, capture_output=True)
    for path in new.values():
        path.rename(path.with_suffix(""))


def certificate(folder: Path) -> ssl.SSLContext:
    """Trusts what `certify` made, and nothing else."""
    return ssl.create_default_context(cafile=str(folder / "tls.crt"))
