"""A local stand-in for a mirror of a hub: it serves one folder as every repository, to the real client library."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def listing(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": path.name, "rfilename": path.name, "size": path.stat().st_size, "oid": _etag(path)}
            for path in sorted(self.folder.iterdir())
        ]


def _etag(path: Path) -> str:
    """As git names a blob, which is how the client checks what it downloaded."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def hub_server(folder: Path) -> Iterator[Hub]:
    """Serve on a free port of loopback until the block ends."""
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(path)
            if path.startswith("/api/models/"):
                body = {"id": path, "sha": COMMIT, "siblings": hub.listing(), "private": False, "tags": []}
                self._answer(200, json.dumps(hub.listing() if "/tree/" in path else body).encode())
            elif (file := hub.folder / Path(path).name).is_file() and "/resolve/" in path:
                self._answer(200, file.read_bytes(), ETag=f'"{_etag(file)}"')
            else:
                self._answer(404, b"{}", **{"X-Error-Code": "EntryNotFound"})

        do_HEAD = do_GET  # noqa: N815 - the names are the base class's

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The tests say what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
