"""Every route, asked over HTTP with either store behind it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import openai
import pytest

from tests.contract.promises.services import FLEET, Service


@pytest.fixture
def plain(service: Callable[[str], Service]) -> Service:
    started = service("plain")
    started.ingest()
    return started


@pytest.mark.row("POST /v1/documents")
@pytest.mark.row("GET /v1/jobs/{id}")
def test_documents_are_taken_in_and_their_job_says_what_became_of_them(plain: Service) -> None:
    name = f"{uuid.uuid4().hex}.csv"
    accepted = plain.client.post(
        "/v1/documents", files=[("files", (name, FLEET)), ("files", (f"x{name}", b"\x00\x01"))]
    )
    if accepted.status_code == 202:
        job = plain.get(f"/v1/jobs/{accepted.json()['job_id']}").json()
        assert job["status"] in ("queued", "running", "succeeded", "partial")
    else:
        assert accepted.status_code == 415
    waited = plain.client.post("/v1/documents?wait=true", files=[("files", (name, FLEET))])
    assert [(f["source"], f["status"]) for f in waited.json()["files"]] in ([(name, "stored")], [(name, "unchanged")])


@pytest.mark.row("POST /v1/jobs/{id}/retry")
@pytest.mark.row("JOB_RETENTION")
def test_what_failed_can_be_retried_while_its_job_is_kept(plain: Service) -> None:
    files = [("files", ("good.csv", FLEET.encode())), ("files", ("bad.pdf", b"%PDF-1.4 nothing more"))]
    job = plain.client.post("/v1/documents?wait=true", files=files).json()
    assert [file["status"] for file in job["files"]][1] == "failed"
    assert plain.client.post(f"/v1/jobs/{job['id']}/retry").status_code in (202, 409, 422)
    assert plain.client.post("/v1/jobs/none/retry").status_code == 404
    assert plain.setting("JOB_RETENTION") == 604_800


@pytest.mark.row("GET /v1/documents")
@pytest.mark.row("GET /v1/documents/{id}")
@pytest.mark.row("DELETE /v1/documents/{id}")
def test_a_document_is_listed_shown_and_removed(plain: Service) -> None:
    document_id = plain.ingest("gone.csv", FLEET.replace("Star", "Dew"))["document_id"]
    listed = plain.get("/v1/documents?limit=1000").json()["documents"]
    assert document_id in {document["id"] for document in listed}
    shown = plain.get(f"/v1/documents/{document_id}").json()
    assert (shown["source"], shown["chunks"]) == ("gone.csv", 1)
    assert plain.client.delete(f"/v1/documents/{document_id}").json() == {"deleted": 1}
    assert plain.get(f"/v1/documents/{document_id}").status_code == 404
    assert plain.texts(document_id, "Morning Dew") == []


@pytest.mark.row("DELETE /v1/documents")
def test_everything_is_removed_only_when_it_is_confirmed(service: Callable[[str], Service]) -> None:
    tuned = service("tuned")
    tuned.ingest()
    assert tuned.client.delete("/v1/documents").status_code == 422
    assert tuned.client.delete("/v1/documents?confirm=all").json()["deleted"] >= 1
    assert tuned.get("/v1/documents").json()["documents"] == []


@pytest.mark.row("POST /v1/query")
def test_an_answer_cites_the_row(plain: Service) -> None:
    answer = plain.post("/v1/query", {"question": "Who is the master of the Southern Cross?"}).json()
    assert "Bo Ek" in answer["answer"]
    assert {"document_id", "source", "page", "row", "text", "score"} <= set(answer["citations"][0])
    assert (answer["citations"][0]["row"], answer["degraded"]) == (2, False)
    assert answer["timings_ms"]["total"] > 0


@pytest.mark.row("POST /v1/retrieve")
def test_hits_tell_their_ranks(plain: Service) -> None:
    hits = plain.post("/v1/retrieve", {"query": "Southern Cross", "top_k": 3}).json()["hits"]
    assert {"dense", "sparse"} <= {stage for hit in hits for stage in hit["explain"]}
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


@pytest.mark.row("SCORE_FLOOR")
def test_no_hit_is_below_the_floor(service: Callable[[str], Service]) -> None:
    answering = service("answering")
    floor = float(answering.settings["SCORE_FLOOR"])
    answering.ingest("floor.csv", "boat,note\n" + "".join(f"Boat {n},sails on Monday\n" for n in range(200)))
    hits = answering.post("/v1/retrieve", {"query": "Boat 7", "top_k": 100}).json()["hits"]
    assert hits
    assert all(hit["score"] >= floor for hit in hits)


@pytest.mark.row("GET /v1/config")
def test_the_settings_in_force_are_shown_by_variable(plain: Service) -> None:
    config = plain.get("/v1/config").json()
    assert config["settings"]["RATE_LIMIT_WINDOW"] == 60
    assert config["settings"]["COLLECTION_NAME"] == plain.collection
    assert config["limits"] == {
        "top_k": 100,
        "documents_per_request": 1000,
        "question_bytes": 65536,
        "upload_bytes": 100 * 1024 * 1024,
    }


@pytest.mark.row("GET /health")
def test_health_has_every_check(plain: Service) -> None:
    body = plain.get("/health").json()
    assert body["status"] == "ok"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", body["timestamp"])
    assert set(body["checks"]) == {"database", "embeddings", "llm", "memory", "disk"}
    for check in body["checks"].values():
        assert set(check) == {"status", "latency_ms", "error"}


@pytest.mark.row("GET /livez")
@pytest.mark.row("GET /ready")
def test_probes_answer(plain: Service) -> None:
    assert [plain.get(path).json()["status"] for path in ("/livez", "/ready")] == ["ok", "ready"]


@pytest.mark.row("GET /debug/memory")
def test_memory_is_told_by_process(plain: Service) -> None:
    held = plain.get("/debug/memory").json()["resident_bytes"]
    assert ("store" in held) == (plain.store == "embedded")
    assert held["serving"] > 10_000_000


@pytest.mark.row("GET /debug/models")
def test_models_are_told(plain: Service) -> None:
    assert set(plain.get("/debug/models").json()) == {"dense", "sparse", "colbert"}


@pytest.mark.row("GET /metrics")
def test_metrics_are_prometheus_text(plain: Service) -> None:
    answer = plain.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE rag_requests_total counter" in answer.text


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/static/docs.js"])
def test_pages_are_there(plain: Service, path: str) -> None:
    assert plain.get(path).status_code == 200


@pytest.mark.row("PLAYGROUND_ENABLED")
def test_browsers_get_the_playground_unless_it_is_switched_off(service: Callable[[str], Service]) -> None:
    html = {"Accept": "text/html"}
    kinds = [service(name).get("/", headers=html).headers["content-type"] for name in ("plain", "tuned")]
    assert [kind.partition(";")[0] for kind in kinds] == ["text/html", "application/json"]


@pytest.mark.row("POST /v1/chat/completions")
@pytest.mark.row("GET /v1/models")
@pytest.mark.row("GET /v1/models/{id}")
def test_the_official_client_of_openai_is_answered(plain: Service) -> None:
    with openai.OpenAI(base_url=f"{plain.serving.url}/v1", api_key="none", max_retries=0) as client:
        (model,) = client.models.list().data
        assert client.models.retrieve(model.id).id == model.id
        asked = [{"role": "user", "content": "Who is the master of the Southern Cross?"}]
        done = client.chat.completions.create(model=model.id, messages=asked)  # type: ignore[arg-type]
    assert "Bo Ek" in str(done.choices[0].message.content)


@pytest.mark.row("POST /v1/feedback")
@pytest.mark.row("GET /v1/feedback")
@pytest.mark.row("rag_feedback_total")
def test_a_rating_is_kept_and_counted(plain: Service) -> None:
    before = plain.metric('rag_feedback_total{rating="up"}')
    request_id = plain.post("/v1/query", {"question": "Who is the master of the Southern Cross?"}).headers[
        "X-Request-Id"
    ]
    rated = plain.post("/v1/feedback", {"request_id": request_id, "rating": "up", "comment": "right"})
    assert rated.status_code == 201
    assert rated.json() in plain.get("/v1/feedback").json()["feedback"]
    assert plain.metric('rag_feedback_total{rating="up"}') == before + 1


@pytest.mark.row("MCP_ENABLED")
def test_agents_are_answered_unless_it_is_switched_off(service: Callable[[str], Service]) -> None:
    """What an agent says first: which protocol it speaks."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    headers = {"Accept": "application/json, text/event-stream"}
    answers = [service(name).post("/mcp", hello, headers=headers).status_code for name in ("plain", "tuned")]
    assert answers == [200, 404]
