"""The series that dashboards and alerts are made of are there, by their names, from the first scrape on."""

from __future__ import annotations

import pytest

from rag_runtime.api.metrics import Metrics


def exposed(metrics: Metrics) -> str:
    return bytes(metrics.exposition().body).decode()


@pytest.mark.parametrize(
    "series",
    ["rag_cache_hits_total", "rag_cache_misses_total", "rag_upsert_retries_total", "rag_rate_limited_requests_total"],
)
def test_a_counter_without_labels_begins_at_zero(series: str) -> None:
    assert f"\n{series} 0.0\n" in exposed(Metrics())


def test_what_is_counted_is_exposed() -> None:
    metrics = Metrics()
    for count in (metrics.cache_hit, metrics.cache_miss, metrics.upsert_retried, metrics.rate_limited):
        count()
    metrics.feedback("up")
    metrics.tokens(120, 30)
    text = exposed(metrics)
    assert 'rag_feedback_total{rating="up"} 1.0' in text
    assert 'rag_tokens_total{direction="in"} 120.0' in text
    assert 'rag_tokens_total{direction="out"} 30.0' in text
    assert "rag_cache_hits_total 1.0" in text


def test_a_method_that_a_caller_makes_up_is_no_label_of_its_own() -> None:
    metrics = Metrics()
    metrics.request("BREW", "unmatched", 405, 0.01)
    assert 'method="OTHER"' in exposed(metrics)
