"""What the operator counts, as Prometheus series. Names are promises to dashboards and alerts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# They double the number of series, and say when this process started, which is a series of its own already.
disable_created_metrics()  # type: ignore[no-untyped-call]

API_REQUESTS = Counter("rag_operator_api_requests_total", "Requests to the API server.", ["method", "code"])
RECONCILES = Counter("rag_operator_reconciles_total", "Visits to a pipeline, by outcome.", ["outcome"])
RECONCILE_SECONDS = Histogram(
    "rag_operator_reconcile_duration_seconds",
    "How long a visit took.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
QUEUE_DEPTH = Gauge("rag_operator_queue_depth", "Pipelines that wait for a visit.")
QUEUE_OLDEST_SECONDS = Gauge("rag_operator_queue_oldest_seconds", "How long the first of them has waited.")
APPLIES = Counter("rag_operator_applies_total", "Objects sent to the API server.", ["kind"])
WATCH_EVENTS = Counter("rag_operator_watch_events_total", "Events that the watches brought.", ["kind"])
WATCH_LAST_EVENT = Gauge("rag_operator_watch_last_event_timestamp_seconds", "When the last one came.", ["kind"])
LEADER = Gauge("rag_operator_leader", "1 in the replica that leads.")
