"""Variables of the store. What only a server has, the embedded store takes and leaves alone."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.promises.profiles import TUNING
from tests.contract.promises.services import FLEET, Service
from tests.rag_runtime.commands.processes import run, serving

Starter = Callable[[str], Service]
BOATS = "boat,note\n" + "".join(f"Boat {number},sails on Monday with {number} cars\n" for number in range(12))


@pytest.mark.row("QDRANT_URL")
@pytest.mark.row("DATA_DIR")
def test_documents_lie_on_the_server_or_else_in_the_folder(service: Starter) -> None:
    plain = service("plain")
    plain.ingest()
    kept_here = [path for path in (plain.serving.data_dir / "data").rglob("*") if path.is_file()]
    if plain.recorder:
        assert plain.recorder.upserts(plain.collection)
        assert kept_here == []
    else:
        assert kept_here


@pytest.mark.row("QDRANT_API")
def test_the_server_s_key_goes_with_each_request_and_is_shown_to_nobody(service: Starter) -> None:
    plain = service("plain")
    plain.ingest()
    if plain.recorder:
        key = plain.recorder.upstream.api_key
        assert {asked.headers.get("api-key") for asked in plain.recorder.asked} == {key}
        assert plain.setting("QDRANT_API") == "**********"
        assert str(key) not in "".join(plain.serving.lines)
    else:
        assert plain.setting("QDRANT_API") is None


@pytest.mark.row("QDRANT_MAX_POINTS_PER_UPSERT")
def test_an_upsert_holds_so_many_points(service: Starter) -> None:
    tuned = service("tuned")
    assert tuned.ingest("upserts.csv", BOATS)["chunks"] > 1
    if tuned.recorder:
        assert {upsert.points for upsert in tuned.recorder.upserts(tuned.collection)} == {1}


@pytest.mark.row("QDRANT_UPSERT_RETRIES")
@pytest.mark.row("QDRANT_UPSERT_BACKOFF_BASE")
@pytest.mark.row("rag_upsert_retries_total")
def test_a_refused_upsert_is_tried_again_soon_and_counted(service: Starter) -> None:
    tuned = service("tuned")
    before = tuned.metric("rag_upsert_retries_total")
    if tuned.recorder:
        tuned.recorder.refusals = 2
    tuned.ingest("refused.csv", FLEET.replace("Light", "Wind"))
    assert tuned.metric("rag_upsert_retries_total") - before == (2 if tuned.recorder else 0)
    assert tuned.setting("QDRANT_UPSERT_BACKOFF_BASE") == 0.01


@pytest.mark.row("QDRANT_TIMEOUT")
def test_a_store_that_hangs_is_waited_for_so_long(service: Starter) -> None:
    """The embedded store's process is stopped; the server's proxy is asked for a search that it sits on."""
    tuned = service("tuned")
    with hanging(tuned):
        response = tuned.post("/v1/retrieve", {"query": "a question that nobody has asked yet"})
    assert response.status_code in (503, 504)
    assert tuned.post("/v1/retrieve", {"query": "and now"}).status_code == 200


class hanging:  # noqa: N801 - a context manager
    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> None:
        if self._service.recorder:
            self._service.recorder.hangs.clear()
        else:
            os.kill(self._child(), signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        if self._service.recorder:
            self._service.recorder.hangs.set()
        else:
            os.kill(self._child(), signal.SIGCONT)

    def _child(self) -> int:
        listed = Path(f"/proc/{self._service.serving.process.pid}/task").glob("*/children")
        children = [int(child) for path in listed for child in path.read_text().split()]
        return next(c for c in children if "edge.worker" in Path(f"/proc/{c}/cmdline").read_text())


@pytest.mark.row("COLLECTION_NAME")
def test_the_index_is_found_by_its_name(service: Starter) -> None:
    tuned = service("tuned")
    if tuned.recorder:
        assert any(f"/collections/{tuned.collection}__" in asked.path for asked in tuned.recorder.asked)
    else:
        names = {path.name for path in (tuned.serving.data_dir / "data").rglob("*")}
        assert any(name.startswith(tuned.collection) for name in names)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.row(name)) for name in TUNING])
def test_the_index_is_tuned(service: Starter, name: str) -> None:
    assert str(int_of(service("tuned").setting(name))) == TUNING[name]


def int_of(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def test_a_server_is_told_how_to_build_the_index(service: Starter) -> None:
    tuned = service("tuned")
    if not tuned.recorder:
        pytest.skip("the embedded store is tuned in its own process; its tests look there")
    config = collection(tuned)["config"]
    assert (config["hnsw_config"]["m"], config["hnsw_config"]["ef_construct"]) == (24, 120)
    assert config["params"]["shard_number"] == 2
    assert config["optimizer_config"]["flush_interval_sec"] == 5


def collection(service: Service) -> dict[str, Any]:
    assert service.recorder
    upstream = service.recorder.upstream
    headers = {"api-key": upstream.api_key} if upstream.api_key else {}
    answer = httpx.get(f"{upstream.url}/collections/{service.collection}", headers=headers)
    found: dict[str, Any] = answer.json()["result"]
    return found


@pytest.mark.row("COLLECTION_OWNER")
@pytest.mark.row("COLLECTION_ADOPT")
def test_an_index_of_nobody_is_taken_over_only_when_told(tmp_path: Path, storage: dict[str, str]) -> None:
    settings = storage | {"COLLECTION_NAME": f"{storage.get('COLLECTION_NAME', 'papers')}-owned"}
    with serving(tmp_path, **settings) as unowned:
        unowned.wait_ready()
        files = [("files", ("fleet.csv", FLEET))]
        assert httpx.post(f"{unowned.url}/v1/documents?wait=true", files=files, timeout=60).status_code == 200
        unowned.end()
    mine = settings | {"COLLECTION_OWNER": "team/handbook", "DATA_DIR": str(tmp_path / "data")}
    refused = run("serve", "--port", "0", **mine, MODEL_CACHE_DIR=str(tmp_path / "models"))
    assert (refused.returncode, "belongs to" in refused.stderr) == (3, True), refused.stderr
    with serving(tmp_path, COLLECTION_ADOPT="1", **{k: v for k, v in mine.items() if k != "DATA_DIR"}) as owned:
        owned.wait_ready()
        assert len(httpx.get(f"{owned.url}/v1/documents").json()["documents"]) == 1


@pytest.mark.row("QDRANT_PREFER_GRPC")
def test_grpc_is_spoken_where_it_is_preferred(tmp_path: Path, storage: dict[str, str], store: str) -> None:
    """The test server speaks REST alone, so only the first words on gRPC's port are listened for."""
    if store == "embedded":
        with serving(tmp_path, QDRANT_PREFER_GRPC="1") as service:
            service.wait_ready()
        return
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", 6334))
        port.listen()
        port.settimeout(60)
        with serving(tmp_path, **storage, QDRANT_PREFER_GRPC="1"):
            connection, _ = port.accept()
            with connection:
                connection.settimeout(10)
                assert connection.recv(14) == b"PRI * HTTP/2.0"
