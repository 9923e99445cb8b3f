"""Variables of serving and access, in both stores: TLS, keys, limits, origins, logs and the end."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.contract.promises.profiles import Place
from tests.contract.promises.services import Service, certify
from tests.rag_runtime.commands.processes import serving

Starter = Callable[[str], Service]
RENEWED_WITHIN_SECONDS = 40.0


@pytest.fixture
def guarded(service: Starter) -> Service:
    return service("guarded")


def status(service: Service, key: str, path: str = "/v1/documents", **headers: str) -> int:
    return service.get(path, headers={"X-API-Key": key, **headers}).status_code


@pytest.mark.row("HOST")
@pytest.mark.row("PORT")
def test_it_listens_where_it_is_told_and_nowhere_else(guarded: Service, service: Starter) -> None:
    port = int(guarded.settings["PORT"])
    assert guarded.get("/livez").status_code == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", service("plain").serving.port), 5)


@pytest.mark.row("SSL_CERT_PATH")
@pytest.mark.row("SSL_KEY_PATH")
def test_a_renewed_certificate_is_served_without_a_restart(guarded: Service, place: Place) -> None:
    address = ("127.0.0.2", int(guarded.settings["PORT"]))
    before = ssl.get_server_certificate(address)
    kept = (place.folder / "tls.crt").read_text(), (place.folder / "tls.key").read_text()
    certify(place.folder, "second.example")
    renewed = until(lambda: ssl.get_server_certificate(address) != before)
    for name, content in zip(("tls.crt", "tls.key"), kept, strict=True):
        (place.folder / name).write_text(content)
    assert renewed
    assert until(lambda: ssl.get_server_certificate(address) == before)


def until(condition: Callable[[], bool], seconds: float = RENEWED_WITHIN_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return met


@pytest.mark.row("API_KEY_REQUIRED")
@pytest.mark.row("API_KEYS")
def test_several_keys_work_at_once_and_none_is_no_key(guarded: Service, service: Starter) -> None:
    assert [status(guarded, key) for key in ("root", "key-0", "key-1", "other", "")] == [200, 200, 200, 401, 401]
    assert service("plain").get("/v1/documents").status_code == 200


def test_a_scope_allows_what_it_says(guarded: Service) -> None:
    """reader: query. hashed-key: query and ingest, kept as a hash. root: admin."""
    asked = {"read-key": [], "hashed-key": [], "root": []}
    for key, found in asked.items():
        headers = {"X-API-Key": key}
        found.append(guarded.post("/v1/query", {"question": "who?"}, headers=headers).status_code)
        found.append(guarded.client.delete("/v1/documents/none", headers=headers).status_code)
        found.append(guarded.client.delete("/v1/documents?confirm=all", headers=headers).status_code)
        found.append(status(guarded, key, "/debug/models"))
    assert asked == {"read-key": [200, 403, 403, 403], "hashed-key": [200, 404, 403, 403], "root": [200, 404, 200, 200]}


@pytest.mark.row("API_KEYS_FILE")
def test_the_file_of_keys_is_read_again_when_kubernetes_swaps_its_folder(guarded: Service, place: Place) -> None:
    """The mount is a link to a folder, and the link is what changes."""
    second = place.folder / "keys-2"
    second.mkdir()
    old = (place.folder / "keys/keys").read_text()
    (second / "keys").write_text(f"{old}renewed query renewed-key\n")
    assert status(guarded, "renewed-key") == 401
    (place.folder / "next").symlink_to(second.name)
    (place.folder / "next").replace(place.folder / "keys")
    assert until(lambda: status(guarded, "renewed-key", **{"X-Forwarded-For": "192.0.2.77"}) == 200, 10)
    assert status(guarded, "read-key") == 200


@pytest.mark.row("RATE_LIMIT_REQUESTS")
@pytest.mark.row("RATE_LIMIT_WINDOW")
def test_a_key_has_its_rate_and_others_theirs(guarded: Service) -> None:
    """30 an hour: the next comes 120 s later. Probes count for nobody."""
    answers = [guarded.get("/v1/documents", headers={"X-API-Key": "key-9"}) for _ in range(32)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429] * 2
    assert 100 < int(answers[-1].headers["Retry-After"]) <= 120
    assert status(guarded, "key-8") == 200
    assert {status(guarded, "key-9", "/livez") for _ in range(40)} == {200}


@pytest.mark.row("TRUSTED_PROXIES")
def test_a_peer_is_whom_a_trusted_proxy_names(guarded: Service) -> None:
    guesses = [status(guarded, "guess", **{"X-Forwarded-For": "192.0.2.1"}) for _ in range(32)]
    assert guesses == [401] * 30 + [429] * 2
    assert status(guarded, "guess", **{"X-Forwarded-For": "192.0.2.2"}) == 401


@pytest.mark.row("CORS_ORIGINS")
def test_browsers_may_call_from_the_origins_that_are_listed(guarded: Service, service: Starter) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
    allowed = guarded.client.options("/v1/query", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    refused = guarded.client.options("/v1/query", headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers
    assert service("plain").get("/v1/documents", headers={"Origin": "https://evil.example"}).status_code == 403


@pytest.mark.row("LOG_LEVEL")
def test_a_quiet_service_says_nothing_of_requests(guarded: Service, service: Starter) -> None:
    guarded.get("/livez")
    assert guarded.serving.lines == []
    service("plain").get("/livez")
    assert service("plain").logged("request")


@pytest.mark.row("METRICS_ENABLED")
def test_metrics_are_there_unless_they_are_switched_off(guarded: Service, service: Starter) -> None:
    assert guarded.get("/metrics").status_code == 404
    assert service("plain").get("/metrics").status_code == 200


@pytest.mark.row("HEALTH_CHECK_INTERVAL")
def test_dependencies_are_looked_at_again_and_again(service: Starter) -> None:
    first = service("tuned").get("/health").json()["checks"]
    assert until(lambda: service("tuned").get("/health").json()["checks"] != first)


@pytest.mark.row("PRELOAD_MODELS")
@pytest.mark.row("SHUTDOWN_GRACE")
def test_models_wait_for_the_first_question_and_the_end_waits_for_nobody_longer_than_told(
    tmp_path: Path, storage: dict[str, str]
) -> None:
    """An upload that never ends is in flight when the signal comes; it would have had 25 s."""
    with serving(tmp_path, **storage, PRELOAD_MODELS="0", SHUTDOWN_GRACE="1") as lazy:
        lazy.wait_ready()
        assert httpx.get(f"{lazy.url}/debug/models").json()["dense"]["loaded"] is False
        asked = httpx.post(f"{lazy.url}/v1/query", json={"question": "is anybody there?"}, timeout=60)
        assert asked.status_code == 200
        assert httpx.get(f"{lazy.url}/debug/models").json()["dense"]["loaded"] is True
        with socket.create_connection(("127.0.0.1", lazy.port)) as upload:
            upload.sendall(
                b"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: application/json\r\n\r\n{"
            )
            begin = time.monotonic()
            assert lazy.end() == 0
            assert time.monotonic() - begin < 20


def test_logs_are_json_with_a_line_a_request_and_no_text_or_key_of_a_caller(service: Starter) -> None:
    plain = service("plain")
    injected = 'word\n{"level": "error", "event": "forged"}'
    plain.get("/v1/documents/x%0A%7B%22event%22%3A%22forged%22%7D", headers={"X-Request-Id": "promise-1"})
    plain.post("/v1/query", {"question": injected}, headers={"X-Request-Id": "promise-2", "X-API-Key": "hush-key"})
    plain.get("/livez", headers={"X-Request-Id": "not sane\t{}"})
    assert until(lambda: len([line for line in plain.logged("request") if line["request_id"] == "promise-2"]) == 1)
    assert not plain.logged("forged")
    for line in plain.serving.lines:
        json.loads(line)
    text = "".join(plain.serving.lines)
    assert not any(word in text for word in ("forged", "hush-key", "not sane"))
    (asked,) = (line for line in plain.logged("request") if line["request_id"] == "promise-2")
    assert set(asked) == {
        *("request_id", "method", "endpoint", "status", "duration_ms", "caller", "event", "level", "timestamp"),
    }


def test_headers_that_never_end_are_cut_and_others_are_served(service: Starter) -> None:
    plain = service("plain")
    with socket.create_connection(("127.0.0.1", plain.serving.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.settimeout(40)
        assert plain.get("/livez").status_code == 200
        assert slow.recv(1) == b""


def test_an_ending_service_takes_no_documents_and_lets_a_question_finish(
    tmp_path: Path, storage: dict[str, str]
) -> None:
    """The question's last byte comes after the signal."""
    body = b'{"question": "who is still here?"}'
    head = (
        f"POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
    )
    with serving(tmp_path, **storage) as ending:
        ending.wait_ready()
        with (
            httpx.Client(base_url=ending.url, timeout=60) as kept,
            socket.create_connection(("127.0.0.1", ending.port)) as question,
        ):
            question.sendall(head.encode() + body[:-1])
            # Answered after the question's first bytes were read: unread, it would be closed as idle.
            kept.get("/livez")
            ending.process.terminate()
            assert until(lambda: any('"Shutting down"' in line for line in ending.lines), 10)
            question.sendall(body[-1:])
            question.settimeout(60)
            assert question.recv(65536).startswith(b"HTTP/1.1 200")
        assert ending.process.wait(60) == 0
