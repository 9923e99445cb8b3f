"""Every series, after what it counts has happened, with either store behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.contract.promises.services import Service
from tests.gemini_server import Gemini
from tests.rag_runtime.commands.processes import serving

FLEET = "name,cars,master\nEvening Tide,33,Ole Dam\nWinter Gale,12,Ida Rom\n"


@pytest.fixture
def plain(service: Callable[[str], Service]) -> Service:
    started = service("plain")
    started.ingest("metrics.csv", FLEET)
    return started


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(series, marks=pytest.mark.row(series.partition("{")[0]))
        for series in (
            'rag_requests_total{endpoint="/v1/query",method="POST",status="200"}',
            'rag_request_duration_seconds_count{endpoint="/v1/query",method="POST"}',
            "rag_query_results_count",
            "rag_relevance_score_count",
            "rag_source_diversity_count",
            'rag_stage_duration_seconds_count{stage="embed"}',
            'rag_stage_duration_seconds_count{stage="search"}',
        )
    ],
)
def test_a_question_is_counted_once(plain: Service, series: str) -> None:
    before = plain.metric(series)
    question = f"Who is the master of the Winter Gale, said {abs(hash(series))}?"
    assert plain.post("/v1/query", {"question": question}).status_code == 200
    assert plain.metric(series) == before + 1


@pytest.mark.row("rag_documents_processed_total")
@pytest.mark.row("rag_chunks_stored_total")
def test_documents_and_chunks_are_counted(plain: Service) -> None:
    stored = 'rag_documents_processed_total{status="stored"}'
    before = plain.metric(stored), plain.metric("rag_chunks_stored_total")
    chunks = plain.ingest("counted.csv", FLEET + f"Number {before},1,Nobody\n")["chunks"]
    assert (plain.metric(stored), plain.metric("rag_chunks_stored_total")) == (before[0] + 1, before[1] + chunks)


@pytest.mark.row("rag_active_connections")
@pytest.mark.row("rag_resident_bytes")
def test_what_is_held_now_is_told(plain: Service) -> None:
    assert plain.metric("rag_active_connections") >= 1
    assert plain.metric('rag_resident_bytes{process="serving"}') > 10_000_000
    assert (plain.metric('rag_resident_bytes{process="store"}') > 0) == (plain.store == "embedded")


@pytest.mark.parametrize(
    "series",
    [
        pytest.param(series, marks=pytest.mark.row(series))
        for series in ("rag_cache_hits_total", "rag_cache_misses_total", "rag_rate_limited_requests_total")
    ],
)
def test_a_counter_is_there_from_the_first_scrape_on(plain: Service, series: str) -> None:
    assert f"\n{series} " in plain.get("/metrics").text


@pytest.mark.row("rag_rate_limited_requests_total")
def test_what_the_rate_limit_refuses_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, RATE_LIMIT_REQUESTS="2") as process, httpx.Client(base_url=process.url) as client:
        process.wait_ready()
        assert [client.get("/v1/documents").status_code for _ in range(5)] == [200, 200, 429, 429, 429]
        assert "\nrag_rate_limited_requests_total 3.0\n" in client.get("/metrics").text


@pytest.mark.row("rag_degraded_answers_total")
def test_degraded_answers_are_counted_by_their_reason(service: Callable[[str], Service], gemini: Gemini) -> None:
    answering = service("answering")
    answering.ingest("metrics.csv", FLEET)
    before = answering.metric('rag_degraded_answers_total{reason="quota"}')
    gemini.failure = "quota"
    answer = answering.post("/v1/query", {"question": "Is the quota used up?"}).json()
    gemini.failure = None
    assert answer["degraded_reason"] in ("quota", "spared")
    after = answering.metric('rag_degraded_answers_total{reason="quota"}')
    assert after == before + (answer["degraded_reason"] == "quota")


@pytest.mark.row("rag_tokens_total")
def test_tokens_are_counted_as_the_model_counts_them(service: Callable[[str], Service], gemini: Gemini) -> None:
    """The stand-in says 120 for every prompt. The breaker may still spare it after other tests' failures."""
    answering = service("answering")
    answering.ingest("metrics.csv", FLEET)
    before = answering.metric('rag_tokens_total{direction="in"}')
    gemini.failure = None
    answer = answering.post("/v1/query", {"question": "Who is the master of the Winter Gale?"}).json()
    assert answering.metric('rag_tokens_total{direction="in"}') - before == (0 if answer["degraded"] else 120)


def test_labels_are_bounded_whatever_is_asked(plain: Service) -> None:
    for path in ("/v1/documents/some-free-text", "/nothing/like/this", "/v1/jobs/none"):
        plain.get(path)
    plain.client.request("BREW", "/livez")
    text = plain.get("/metrics").text
    assert not any(word in text for word in ("some-free-text", "like/this", "BREW"))
    assert 'endpoint="unmatched"' in text
