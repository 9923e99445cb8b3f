"""A Grafana dashboard of one pipeline. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from rag_operator.spec import RagPipeline

WIDTH, HEIGHT = 12, 8
RATE = "[$__rate_interval]"
FAILED = f'sum(rate(rag_requests_total{{OURS,status=~"5.."}}{RATE}))'


class Panel(NamedTuple):
    """`series` are pairs of an expression, in which OURS stands for the pipeline's labels, and a legend."""

    title: str
    unit: str
    series: tuple[tuple[str, str], ...]


def quantile(share: float, metric: str, by: str = "le") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{OURS}}{RATE})))"


PANELS = (
    Panel("Requests", "reqps", ((f"sum by (status) (rate(rag_requests_total{{OURS}}{RATE}))", "{{status}}"),)),
    Panel(
        "Latency",
        "s",
        tuple((quantile(share, "rag_request_duration_seconds"), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
    ),
    Panel("Stages, p95", "s", ((quantile(0.95, "rag_stage_duration_seconds", "le, stage"), "{{stage}}"),)),
    Panel(
        "Errors",
        "percentunit",
        (
            (
                f"{FAILED} / sum(rate(rag_requests_total{{OURS}}{RATE}))",
                "5xx",
            ),
        ),
    ),
    Panel("Requests being served", "short", (("sum by (pod) (rag_active_connections{OURS})", "{{pod}}"),)),
    Panel(
        "Documents",
        "short",
        ((f"sum by (status) (rate(rag_documents_processed_total{{OURS}}{RATE}))", "{{status}}"),),
    ),
    Panel(
        "Degraded answers",
        "short",
        ((f"sum by (reason) (rate(rag_degraded_answers_total{{OURS}}{RATE}))", "{{reason}}"),),
    ),
    Panel("Memory", "bytes", (("process_resident_memory_bytes{OURS}", "{{pod}}"),)),
)


def build_dashboard(app: RagPipeline) -> dict[str, Any]:
    ours = f'namespace="{app.namespace}",service="{app.name}"'
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "title": f"RagPipeline {app.namespace}/{app.name}",
        # At most 40 characters for Grafana, so not the two names.
        "uid": app.uid[:40],
        "tags": ["ragops"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel, ours, source) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel, ours: str, source: dict[str, str]) -> dict[str, Any]:
    row, column = divmod(number, 2)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": text.replace("OURS", ours), "legendFormat": legend}
            for place, (text, legend) in enumerate(panel.series)
        ],
    }
