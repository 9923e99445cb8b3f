"""Who may talk to whom: what a policy lets in and out, by field."""

from __future__ import annotations

from typing import Any

import pytest

from rag_operator.desired import network
from tests import builders
from tests.builders import EMBEDDED, EXTERNAL

OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "rag-operator"}},
}
PROMETHEUS = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}


def policies(**fields: Any) -> dict[str, dict[str, Any]]:
    built = network.build_policies(builders.app(**fields))
    return {body["metadata"]["labels"]["app.kubernetes.io/component"]: body["spec"] for body in built}


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_without_a_list_everyone_may_ask_and_only_our_pods_reach_the_store() -> None:
    made = policies()
    assert made["runtime"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    (rule,) = made["qdrant"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "handbook"
    assert ports([rule]) == {6333, 6334}


def test_a_list_lets_in_who_is_on_it_the_operator_and_prometheus() -> None:
    callers = [{"namespace": "shop"}, {"podLabels": {"app": "importer"}}]
    (rule,) = policies(access={"allowedFrom": callers})["runtime"]["ingress"]
    shop, importer, *rest = rule["from"]
    assert shop == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    assert importer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "team"}
    assert importer["podSelector"]["matchLabels"] == {"app": "importer"}
    assert OPERATOR in rest
    assert PROMETHEUS in rest


def test_who_is_not_monitored_lets_no_prometheus_in() -> None:
    fields = {"access": {"allowedFrom": [{"namespace": "shop"}]}, "monitoring": {"serviceMonitor": False}}
    (rule,) = policies(**fields)["runtime"]["ingress"]
    assert PROMETHEUS not in rule["from"]


@pytest.mark.parametrize(
    ("fields", "out"),
    [
        pytest.param({}, {53, 443, 6333, 6334}, id="a managed store"),
        pytest.param(EMBEDDED, {53, 443}, id="an embedded store"),
        pytest.param(EXTERNAL, {53, 443, 6333, 6334}, id="an external store"),
        pytest.param(
            {"vectorStore": {"external": {"url": "http://q.example:7000"}}}, {53, 443, 7000, 6334}, id="at its port"
        ),
    ],
)
def test_a_runtime_gets_to_dns_its_store_and_https(fields: dict[str, Any], out: set[int]) -> None:
    assert ports(policies(**fields)["runtime"]["egress"]) == out


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("http://collector.observability:4318", 4318),
        ("http://mirror.example/models", 80),
        ("http://[::1]:9000", 9000),
        ("https://user@mirror.example:8443/", 8443),
        ("collector:4317", None),
        ("http://", None),
        ("", None),
    ],
)
def test_an_address_in_a_variable_may_be_reached(value: str, port: int | None) -> None:
    template = {"extraEnv": [{"name": "SOMEWHERE", "value": value}]}
    found = ports(policies(podTemplate=template, **EMBEDDED)["runtime"]["egress"])
    assert found == {53, 443} | ({port} if port else set())


def test_servers_of_a_cluster_reach_each_other_and_nothing_else() -> None:
    made = policies(vectorStore={"managed": {"replicas": 3}})["qdrant"]
    peers = {"podSelector": {"matchLabels": made["podSelector"]["matchLabels"]}}
    assert [rule["from"] for rule in made["ingress"] if ports([rule]) == {6335}] == [[peers]]
    assert [(rule.get("to"), ports([rule])) for rule in made["egress"]] == [(None, {53}), ([peers], {6333, 6335})]


def test_a_single_server_reaches_names_only() -> None:
    assert ports(policies()["qdrant"]["egress"]) == {53}
