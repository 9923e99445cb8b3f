"""What Prometheus and Grafana find: a ServiceMonitor, a PrometheusRule and a dashboard. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.desired.dashboard import build_dashboard
from rag_operator.spec import RagPipeline

INTERVAL = "30s"


def build_monitoring(app: RagPipeline, served: frozenset[names.Kind]) -> Iterator[Body]:
    """Only what the cluster has kinds for; a dashboard without a Prometheus that scrapes would be empty."""
    wanted = app.spec.monitoring
    if wanted.service_monitor and names.SERVICE_MONITOR in served:
        yield _service_monitor(app)
    if wanted.prometheus_rule and names.PROMETHEUS_RULE in served:
        yield _rule(app)
    if wanted.dashboard and names.SERVICE_MONITOR in served:
        data = {f"{app.namespace}-{app.name}.json": json.dumps(build_dashboard(app), sort_keys=True)}
        body = build_object(names.CONFIG_MAP, app, names.dashboard(app.name), names.RUNTIME, data=data)
        body["metadata"]["labels"]["grafana_dashboard"] = "1"
        yield body


def _service_monitor(app: RagPipeline) -> Body:
    # The runtime's metrics have an `endpoint` of their own, the route, which a scrape would else rename.
    endpoint: Body = {"port": "http", "path": "/metrics", "interval": INTERVAL, "honorLabels": True}
    if app.spec.access.tls:
        # The certificate is made out to whatever name its owner chose, and metrics are no secret.
        endpoint |= {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}
    spec = {"selector": {"matchLabels": names.selector(app.name, names.RUNTIME)}, "endpoints": [endpoint]}
    return build_object(names.SERVICE_MONITOR, app, app.name, names.RUNTIME, spec=spec)


def _rule(app: RagPipeline) -> Body:
    groups = [{"name": f"ragops-{app.namespace}-{app.name}", "rules": list(_alerts(app))}]
    return build_object(names.PROMETHEUS_RULE, app, app.name, names.RUNTIME, spec={"groups": groups})


def _alerts(app: RagPipeline) -> Iterator[Body]:
    ours = f'namespace="{app.namespace}",service="{app.name}"'
    asked = f'{ours},endpoint=~"/v1/.*"'
    slow = f"histogram_quantile(0.95, sum by (le) (rate(rag_request_duration_seconds_bucket{{{asked}}}[5m])))"
    failed = f'sum(rate(rag_requests_total{{{asked},status=~"5.."}}[5m]))'
    total = f"sum(rate(rag_requests_total{{{asked}}}[5m]))"
    unavailable = f'sum(rate(rag_requests_total{{{asked},status="503"}}[5m]))'
    yield _alert(app, "RagPipelineNotReady", f"sum(up{{{ours}}}) < 1 or absent(up{{{ours}}})", "5m", "critical")
    yield _alert(app, "RagPipelineStoreDown", f"{unavailable} / {total} > 0.5", "5m", "critical")
    yield _alert(app, "RagPipelineErrors", f"{failed} / {total} > 0.05", "10m", "warning")
    yield _alert(app, "RagPipelineSlow", f"{slow} > 0.5", "10m", "warning")


SUMMARIES = {
    "RagPipelineNotReady": "no runtime pod answers",
    "RagPipelineStoreDown": "most requests end with 503: the store cannot be reached",
    "RagPipelineErrors": "more than 5 % of requests fail",
    "RagPipelineSlow": "one request in twenty takes longer than 500 ms",
}


def _alert(app: RagPipeline, name: str, expression: str, duration: str, severity: str) -> Body:
    look = f"kubectl get ragpipeline {app.name} -n {app.namespace}"
    return {
        "alert": name,
        "expr": expression,
        "for": duration,
        "labels": {"severity": severity, "namespace": app.namespace, "pipeline": app.name},
        "annotations": {"summary": f"{app.namespace}/{app.name}: {SUMMARIES[name]}", "description": look},
    }
