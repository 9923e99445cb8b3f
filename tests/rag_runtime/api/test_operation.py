"""Health, readiness, metrics, logs and the page of the API, as an operator sees them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rag_runtime import logs
from rag_runtime.app import Ports
from rag_runtime.errors import GeneratorUnavailable, StoreUnavailable
from rag_runtime.testing import ScriptedGenerator
from tests.rag_runtime.running import Running, running


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with running({"health_check_interval": 0.05, "data_dir": tmp_path}) as started:
        yield started


async def health(service: Running, until: str) -> dict[str, object]:
    for _ in range(100):
        body: dict[str, object] = (await service.client.get("/health")).json()
        if body["status"] == until and body["checks"]:
            return body
        await asyncio.sleep(0.05)
    raise AssertionError(body)


async def test_health_names_every_check_with_its_latency(service: Running) -> None:
    body = await health(service, "ok")
    checks = body["checks"]
    assert isinstance(checks, dict)
    assert set(checks) == {"database", "embeddings", "llm", "memory", "disk"}
    assert all(set(check) == {"status", "latency_ms", "error"} for check in checks.values())


async def test_a_store_that_goes_away_is_seen_and_seen_again_when_it_is_back(service: Running) -> None:
    service.store.fault = StoreUnavailable("no answer")
    await health(service, "unavailable")
    assert (await service.client.get("/health")).status_code == 503
    assert (await service.client.get("/ready")).status_code == 503
    assert (await service.client.get("/livez")).status_code == 200
    service.store.fault = None
    await health(service, "ok")
    assert (await service.client.get("/ready")).status_code == 200


async def test_a_failing_language_model_is_degraded_and_still_ready() -> None:
    generator = ScriptedGenerator(fault=GeneratorUnavailable("out of quota", reason="quota"))
    async with running({"health_check_interval": 0.05}, Ports(generator=generator)) as service:
        await health(service, "degraded")
        assert (await service.client.get("/health")).status_code == 200
        assert (await service.client.get("/ready")).status_code == 200
    assert generator.asked == []


async def test_metrics_count_by_route_and_never_by_what_was_asked(service: Running) -> None:
    await service.ingest()
    await service.ask("How many cars does the Southern Cross carry?")
    await service.client.get("/v1/documents/some-secret-id")
    await service.client.get("/v1/jobs/none")
    await service.client.get("/nothing/here")
    text = (await service.client.get("/metrics")).text
    assert 'rag_requests_total{endpoint="/v1/query",method="POST",status="200"} 1.0' in text
    assert 'endpoint="/v1/documents/{document_id:path}",method="GET",status="404"' in text
    assert 'endpoint="unmatched",method="GET",status="404"' in text
    assert 'rag_documents_processed_total{status="stored"} 1.0' in text
    assert "rag_query_results_count 1.0" in text
    assert 'rag_stage_duration_seconds_count{stage="search"} 1.0' in text
    assert "rag_request_duration_seconds_bucket" in text
    assert "rag_active_connections 1.0" in text
    assert "secret" not in text


async def test_metrics_can_be_switched_off() -> None:
    async with running({"metrics_enabled": False}) as service:
        assert (await service.client.get("/metrics")).status_code == 404


async def test_a_log_line_holds_the_request_and_nothing_of_its_body(
    service: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    before = logging.root.handlers[:]
    logs.configure("INFO")
    try:
        question = 'secret\n{"level": "error"}'
        await service.client.post("/v1/query", json={"question": question}, headers={"X-Request-Id": "id-1"})
    finally:
        logging.root.handlers[:] = before
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("event") == "request"]
    assert (line["request_id"], line["method"], line["endpoint"], line["status"]) == ("id-1", "POST", "/v1/query", 200)
    assert line["duration_ms"] > 0
    assert "secret" not in json.dumps(lines)


async def test_the_api_describes_itself(service: Running) -> None:
    spec = (await service.client.get("/openapi.json")).json()
    assert {"/v1/query", "/v1/retrieve", "/v1/documents", "/v1/jobs/{job_id}", "/v1/config"} <= set(spec["paths"])
    assert set(spec["paths"]["/v1/documents"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
    }


async def test_browsers_may_call_from_the_origins_that_are_listed() -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    settings = {"cors_origins": ("https://app.example",), "api_key_required": True, "api_keys": "k"}
    async with running(settings) as service:
        good = await service.client.options("/v1/query", headers={**preflight, "Origin": "https://app.example"})
        bad = await service.client.options("/v1/query", headers={**preflight, "Origin": "https://evil.example"})
    assert (good.status_code, good.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert (bad.status_code, "access-control-allow-origin" in bad.headers) == (400, False)


async def test_an_error_that_nobody_expected_is_a_problem_without_a_traceback(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in our own code: the shipped store is made to raise what no store raises."""
    service.store.fault = ZeroDivisionError("internals")  # type: ignore[assignment]
    response = await service.client.get("/v1/documents")
    service.store.fault = None
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "internals" not in response.text
