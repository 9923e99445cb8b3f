"""The served process, with the bundled model and the embedded store: it starts, is killed, drains and ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from rag_runtime.commands.protocol import PatientProtocol
from rag_runtime.commands.serve import _renew_tls, _tls
from rag_runtime.settings import Settings
from tests.rag_runtime.commands.processes import run, serving
from tests.shared_data import shared


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"INGEST_BATCH_SIZE": "many"}, "INGEST_BATCH_SIZE"),
        ({"QDRANT_TIMEOUTS": "3"}, "QDRANT_TIMEOUT"),
        ({"API_KEY_REQUIRED": "1"}, "API_KEYS"),
        ({"API_KEYS_FILE": "/nowhere/keys"}, "/nowhere/keys"),
        ({"SSL_CERT_PATH": "/nowhere/tls.crt", "SSL_KEY_PATH": "/nowhere/tls.key"}, "SSL_CERT_PATH"),
        ({"EMBEDDING_MODEL": "/nowhere/model"}, "EMBEDDING_MODEL"),
        ({"CSV_CHUNK_MAX_TOKENS": "x", "API_KEYS": "hush"}, "CSV_CHUNK_MAX_TOKENS"),
    ],
)
def test_a_misconfiguration_is_one_line_and_status_2(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    ended = run("serve", "--port", "0", **{"DATA_DIR": str(tmp_path), "MODEL_CACHE_DIR": str(tmp_path), **settings})
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("rag-runtime: ")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert named in ended.stderr
    assert "hush" not in ended.stderr


def test_a_port_that_is_taken_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", "--port", port, DATA_DIR=str(tmp_path))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"PORT={port}" in ended.stderr


def test_a_pdf_and_a_csv_are_ingested_and_asked_about(tmp_path: Path) -> None:
    """The commands of the README, on files that nobody here wrote: German, 117 pages; and not UTF-8."""
    pdf, csv = shared("pdf/GeoTopo-komprimiert.pdf"), shared("csv/biopics.csv")
    with serving(tmp_path) as service:
        service.wait_ready()
        sent = run("ingest", str(pdf), str(csv), "--url", service.url)
        assert sent.returncode == 0, sent.stderr
        by_page = _ask(service.url, "Wann heißt ein topologischer Raum hausdorffsch?")
        by_row = _ask(service.url, "Who directed 12 Years a Slave?")
        again = run("ingest", str(csv), "--url", service.url)
        assert service.end() == 0
    assert [(c["source"], c["page"]) for c in by_page["citations"]] == [("GeoTopo-komprimiert.pdf", 12)]
    assert "für je zwei Punkte" in by_page["answer"]
    assert [(c["source"], c["row"]) for c in by_row["citations"]] == [("biopics.csv", 2)]
    assert "Steve McQueen" in by_row["answer"]
    assert "unchanged" in again.stdout


def test_an_answer_is_not_held_back_by_the_network(tmp_path: Path) -> None:
    """Nagle's algorithm and a delayed acknowledgement together cost 40 ms on each request of a kept connection."""
    with serving(tmp_path) as service, httpx.Client(base_url=service.url) as client:
        seconds = sorted(client.get("/livez").elapsed.total_seconds() for _ in range(30))
    assert seconds[3] < 0.03


def test_a_job_survives_kill_9_and_is_finished_by_the_next_process(tmp_path: Path) -> None:
    rows = "name,text\n" + "\n".join(f"Boat {n},{'long words in a row ' * 20}" for n in range(3000))
    with serving(tmp_path, INGEST_BATCH_SIZE="8") as service:
        service.wait_ready()
        answer = httpx.post(f"{service.url}/v1/documents", files=[("files", ("boats.csv", rows.encode()))], timeout=60)
        assert answer.status_code == 202
        job = f"/v1/jobs/{answer.json()['job_id']}"
        service.end(signal.SIGKILL)
    with serving(tmp_path) as service:
        service.wait_ready()
        interrupted = httpx.get(service.url + job, timeout=30).json()
        finished = _finished(service.url + job)
        document = httpx.get(f"{service.url}/v1/documents/{finished['files'][0]['document_id']}").json()
    assert interrupted["status"] in ("queued", "running")
    assert finished["status"] == "succeeded"
    assert document["chunks"] == finished["files"][0]["chunks"] >= 1000


def test_a_signal_lets_a_request_finish_and_releases_the_job(tmp_path: Path) -> None:
    rows = "name,text\n" + "\n".join(f"Boat {n},{'long words in a row ' * 20}" for n in range(3000))
    with serving(tmp_path, INGEST_BATCH_SIZE="8") as service:
        service.wait_ready()
        answer = httpx.post(f"{service.url}/v1/documents", files=[("files", ("boats.csv", rows.encode()))], timeout=60)
        begin = time.monotonic()
        assert service.end() == 0
        assert time.monotonic() - begin < 20
    with serving(tmp_path) as service:
        service.wait_ready()
        assert _finished(f"{service.url}/v1/jobs/{answer.json()['job_id']}")["status"] == "succeeded"


def _ask(url: str, question: str) -> dict[str, object] | object:
    return httpx.post(f"{url}/v1/query", json={"question": question}, timeout=30).json()


def _finished(url: str) -> dict[str, object] | object:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        job = httpx.get(url, timeout=30).json()
        if job["status"] not in ("queued", "running"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Hasty(PatientProtocol):
    header_seconds = 0.3


async def test_headers_that_never_end_are_cut_and_others_are_served(tmp_path: Path) -> None:
    server = uvicorn.Server(uvicorn.Config(_hello, http=Hasty, ws="none", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        slow_writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        later, later_writer = await asyncio.open_connection("127.0.0.1", port)
        later_writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await later.readuntil(b"ok")
        assert await asyncio.wait_for(slow.read(), 3) == b""
        later_writer.write(b"GET / HTTP/1.1\r\n")  # the second request of a kept connection
        assert await asyncio.wait_for(later.read(), 3) == b""
        for writer in (slow_writer, later_writer):
            writer.close()
        server.should_exit = True
        await task


async def test_a_renewed_certificate_is_used_for_new_connections(tmp_path: Path) -> None:
    _certify(tmp_path, "first.example")
    settings = Settings(ssl_cert_path=tmp_path / "tls.crt", ssl_key_path=tmp_path / "tls.key")
    context = _tls(settings)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    renewal = asyncio.create_task(_renew_tls(settings, context, every=0.05))
    port = server.sockets[0].getsockname()[1]
    assert "first.example" in await asyncio.to_thread(_subject, port)
    _certify(tmp_path, "second.example")
    for _ in range(60):
        if "second.example" in (subject := await asyncio.to_thread(_subject, port)):
            break
        await asyncio.sleep(0.05)
    assert "second.example" in subject
    renewal.cancel()
    server.close()
    await server.wait_closed()


def _certify(folder: Path, name: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"), "-days", "2"]
    subprocess.run([*command, *files, "-subj", f"/CN={name}"], check=True, capture_output=True)


def _subject(port: int) -> str:
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"], input="", capture_output=True, text=True, check=False
    )
    return next((line for line in shown.stdout.splitlines() if line.startswith("subject=")), "")
