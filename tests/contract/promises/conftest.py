"""Services by profile and store: each is started when a test first asks for it, and ended with its store's tests."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.contract.promises.profiles import PROFILES, Place
from tests.contract.promises.services import Recorder, Service, certificate, recording
from tests.gemini_server import Gemini, gemini_server
from tests.qdrant_server.running import Running
from tests.rag_runtime.commands.processes import Serving, serving


@pytest.fixture(scope="session")
def recorder(qdrant: Running) -> Iterator[Recorder]:
    with recording(qdrant) as started:
        yield started


@pytest.fixture(scope="session")
def gemini() -> Iterator[Gemini]:
    with gemini_server() as started:
        yield started


@pytest.fixture(scope="session", params=["embedded", "server"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def storage(store: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings that choose the store; what the tests put into a server is removed again."""
    if store == "embedded":
        yield {}
        return
    recorder: Recorder = request.getfixturevalue("recorder")
    key = {"QDRANT_API": recorder.upstream.api_key} if recorder.upstream.api_key else {}
    prefix = f"p{uuid.uuid4().hex[:8]}"
    yield {"COLLECTION_NAME": prefix, "QDRANT_URL": recorder.url, **key}
    recorder.upstream.remove(prefix)


@pytest.fixture(scope="session")
def place(store: str, tmp_path_factory: pytest.TempPathFactory, gemini: Gemini) -> Place:
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    return Place(tmp_path_factory.mktemp(f"place-{store}"), gemini.url, port)


@pytest.fixture(scope="session")
def service(
    store: str,
    storage: dict[str, str],
    place: Place,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[str], Service]]:
    """The service of a profile."""
    recorder = request.getfixturevalue("recorder") if store == "server" else None
    started: dict[str, Service] = {}
    with ExitStack() as running:

        def start(profile: str) -> Service:
            if profile not in started:
                settings = PROFILES[profile](place) | storage
                if profile != "plain":
                    settings["COLLECTION_NAME"] = f"{storage.get('COLLECTION_NAME', 'papers')}-{profile}"
                folder = tmp_path_factory.mktemp(f"{profile}-{store}")
                running_service = _running(folder, settings, place, store, recorder)
                started[profile] = running.enter_context(running_service)
            return started[profile]

        yield start


@contextmanager
def _running(
    folder: Path, settings: Mapping[str, str], place: Place, store: str, recorder: Recorder | None
) -> Iterator[Service]:
    guarded = "PORT" in settings
    verify = certificate(place.folder) if guarded else True
    with (
        serving(folder, **({"arguments": (), "quiet": True} if guarded else {}), **settings) as process,
        httpx.Client(base_url=_url(process, settings), verify=verify, timeout=60) as client,
    ):
        if guarded:
            client.headers["X-API-Key"] = "root"
        process.wait_ready(client=client)
        yield Service(client, process, store, settings.get("COLLECTION_NAME", "rag_documents"), settings, recorder)


def _url(process: Serving, settings: Mapping[str, str]) -> str:
    return f"https://{settings['HOST']}:{settings['PORT']}" if "PORT" in settings else process.url
