"""What Prometheus and Grafana find speaks of this pipeline, and of metrics that the runtime has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rag_operator import names
from rag_operator.desired import monitoring
from rag_runtime.api.metrics import Metrics
from tests import builders

ALL = frozenset(names.OPTIONAL)
OURS = 'namespace="team",service="handbook"'


def built(served: frozenset[names.Kind] = ALL, **fields: Any) -> dict[str, dict[str, Any]]:
    return {body["kind"]: body for body in monitoring.build_monitoring(builders.app(**fields), served)}


def expressions() -> list[str]:
    made = built()
    (dashboard,) = made["ConfigMap"]["data"].values()
    panels = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]
    return [*panels, *(rule["expr"] for rule in made["PrometheusRule"]["spec"]["groups"][0]["rules"])]


@pytest.mark.parametrize(
    ("field", "kind"),
    [("serviceMonitor", "ServiceMonitor"), ("prometheusRule", "PrometheusRule"), ("dashboard", "ConfigMap")],
)
def test_each_is_made_unless_it_is_not_wanted(field: str, kind: str) -> None:
    assert kind in built()
    assert kind not in built(monitoring={field: False})


def test_nothing_is_made_for_a_prometheus_operator_that_is_not_there() -> None:
    assert built(frozenset()) == {}
    assert built(frozenset({names.PROMETHEUS_RULE})).keys() == {"PrometheusRule"}


def test_the_runtimes_service_is_scraped_by_what_it_speaks() -> None:
    spec = built()["ServiceMonitor"]["spec"]
    assert spec["selector"]["matchLabels"] == names.selector("handbook", "runtime")
    assert "scheme" not in spec["endpoints"][0]
    assert spec["endpoints"][0]["honorLabels"] is True
    secure = built(access={"tls": {"secretRef": {"name": "c"}}})["ServiceMonitor"]["spec"]
    assert secure["endpoints"][0]["scheme"] == "https"


def test_a_dashboard_is_found_by_grafanas_sidecar() -> None:
    assert built()["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_is_about_this_pipeline_and_a_metric_of_the_runtimes(expression: str) -> None:
    known = {metric.name for metric in Metrics().registry.collect()} | {"up", "process_resident_memory_bytes"}
    asked = re.findall(r"([a-z_]+)\{", expression)
    assert asked
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} <= known
    assert expression.count(OURS) == len(asked)


def test_every_alert_says_what_it_means_and_where_to_look() -> None:
    for rule in built()["PrometheusRule"]["spec"]["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].startswith("team/handbook: ")
        assert rule["annotations"]["description"] == "kubectl get ragpipeline handbook -n team"
