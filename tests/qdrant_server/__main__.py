"""Run the test server: python -m tests.qdrant_server [--host HOST] [--port PORT] [--storage FOLDER]

The environment variables are those of the real image. Port 0 takes a free one; the address is printed when it answers.
"""

import argparse
import os
import socket
from pathlib import Path

import uvicorn

from tests.qdrant_server.app import build
from tests.qdrant_server.storage import Storage


def main() -> None:
    environ = os.environ
    parser = argparse.ArgumentParser(prog="tests.qdrant_server", description="A stand-in for a Qdrant server.")
    parser.add_argument("--host", default=environ.get("QDRANT__SERVICE__HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(environ.get("QDRANT__SERVICE__HTTP_PORT", "6333")))
    parser.add_argument("--storage", type=Path, default=environ.get("QDRANT__STORAGE__STORAGE_PATH", "./storage"))
    asked = parser.parse_args()
    app = build(Storage(Path(asked.storage)), environ.get("QDRANT__SERVICE__API_KEY", ""))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    listening = listen(asked.host, asked.port)
    print(f"listening on http://{asked.host}:{listening.getsockname()[1]}", flush=True)  # noqa: T201
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """With the protocol named, asyncio switches Nagle's algorithm off; without it each answer takes 40 ms longer."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen()
    return listening


if __name__ == "__main__":
    main()
