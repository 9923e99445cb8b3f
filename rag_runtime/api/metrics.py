"""What the service counts. Labels are bounded: route templates and closed sets, never free text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

from rag_runtime.api import memory
from rag_runtime.domain import FileResult, Hit

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
COUNTS = (0, 1, 2, 3, 5, 10, 20, 50, 100)
SCORES = (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Processes(Collector):
    """Memory by process, read at each scrape: the embedded store is a child with a good part of it."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("rag_resident_bytes", "Memory held, by process", labels=["process"])
        for kind, size in memory.by_process().items():
            family.add_metric([kind], size)
        yield family


class Metrics:
    """One registry for each app, so that two in one process never share a series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Whoever else wants to know of every stage: traces.
        self.on_stage: Callable[[str, float], None] = lambda *_: None
        self._requests = self._counter("rag_requests", "Requests answered", "method", "endpoint", "status")
        self._seconds = self._histogram(
            "rag_request_duration_seconds", "Seconds until a response ended", SECONDS, "method", "endpoint"
        )
        self.active = Gauge("rag_active_connections", "Requests being served", registry=self.registry)
        self._documents = self._counter("rag_documents_processed", "Documents by what became of them", "status")
        self._chunks = self._counter("rag_chunks_stored", "Chunks made searchable")
        self._results = self._histogram("rag_query_results", "Hits a query came back with", COUNTS)
        self._relevance = self._histogram("rag_relevance_score", "Mean fused score of a query's hits", SCORES)
        self._sources = self._histogram("rag_source_diversity", "Distinct documents among a query's hits", COUNTS)
        self._stages = self._histogram("rag_stage_duration_seconds", "Seconds in one stage", SECONDS, "stage")
        self._degraded = self._counter("rag_degraded_answers", "Answers quoted as the model failed", "reason")
        self._limited = self._counter("rag_rate_limited_requests", "Requests refused for their rate")
        self._hits = self._counter("rag_cache_hits", "Questions answered from the cache")
        self._misses = self._counter("rag_cache_misses", "Questions that the cache did not hold")
        self._retries = self._counter("rag_upsert_retries", "Writes to the store that were tried again")
        self._feedback = self._counter("rag_feedback", "Ratings of answers by users", "rating")
        self._tokens = self._counter("rag_tokens", "Tokens of the language model, as it counts them", "direction")
        ProcessCollector(registry=self.registry)
        self.registry.register(Processes())

    def request(self, method: str, endpoint: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "OTHER"
        self._requests.labels(method, endpoint, str(status)).inc()
        self._seconds.labels(method, endpoint).observe(seconds)

    def stage(self, stage: str, seconds: float) -> None:
        self._stages.labels(stage).observe(seconds)
        self.on_stage(stage, seconds)

    def document(self, result: FileResult) -> None:
        self._documents.labels(result.status).inc()
        if result.status == "stored":
            self._chunks.inc(result.chunks)

    def results(self, hits: Sequence[Hit]) -> None:
        self._results.observe(len(hits))
        if hits:
            self._relevance.observe(sum(hit.score for hit in hits) / len(hits))
            self._sources.observe(len({hit.chunk.document_id for hit in hits}))

    def degraded(self, reason: str) -> None:
        self._degraded.labels(reason).inc()

    def rate_limited(self) -> None:
        self._limited.inc()

    def cache_hit(self) -> None:
        self._hits.inc()

    def cache_miss(self) -> None:
        self._misses.inc()

    def upsert_retried(self) -> None:
        self._retries.inc()

    def feedback(self, rating: str) -> None:
        """`rating` must come from a closed set."""
        self._feedback.labels(rating).inc()

    def tokens(self, sent: int, received: int) -> None:
        self._tokens.labels("in").inc(sent)
        self._tokens.labels("out").inc(received)

    def exposition(self) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
