"""OpenTelemetry: a span for each request and each measured stage, sent by OTLP. None of them holds a user's text.

An extra that an image may leave out: `ragops[tracing]`.
"""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_runtime import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger(__name__)


def start(endpoint: str | None) -> Tracing | None:
    """None where no endpoint is set, or what it takes is not installed."""
    if endpoint is None:
        return None
    if importlib.util.find_spec("opentelemetry") is None:
        log.warning("tracing_not_installed", remedy="install ragops[tracing], or unset OTEL_EXPORTER_OTLP_ENDPOINT")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # Resource.create lets OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    resource = Resource.create({"service.name": "rag-runtime", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    return Tracing(provider)


class Tracing:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self.tracer = provider.get_tracer("rag_runtime", __version__)

    def stage(self, stage: str, seconds: float) -> None:
        """An Observe: the stage has just ended, within the request that it belongs to or within none."""
        end = time.time_ns()
        span = self.tracer.start_span(stage, start_time=end - int(seconds * 1e9))
        span.end(end)

    def stop(self) -> None:
        """Send what is left. It may take as long as the exporter waits."""
        self._provider.shutdown()


class Traced:
    """Middleware: a span around each request, within the caller's trace where a `traceparent` names one."""

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        from opentelemetry.trace import SpanKind, use_span  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._app = app
        self._tracer = tracing.tracer
        self._kind = SpanKind.SERVER
        self._use_span = use_span
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span("request", context=self._propagator.extract(carrier), kind=self._kind)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
            await send(message)

        with self._use_span(span, end_on_exit=True, record_exception=False):
            try:
                await self._app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", "unmatched")
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.request.method", scope["method"])
                span.set_attribute("http.route", route)
                span.set_attribute("rag.request_id", scope.get("state", {}).get("request_id", ""))
