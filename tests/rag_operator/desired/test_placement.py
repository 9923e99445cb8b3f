"""What a `podTemplate` adds, for both components; what is ours always wins."""

from __future__ import annotations

from typing import Any

import pytest

from rag_operator import desired
from tests import builders


def templates(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of the Deployment and the StatefulSet."""
    app = builders.app(podTemplate=template, vectorStore={"managed": {"podTemplate": template}})
    built = desired.build(app, builders.inputs()).children
    return {body["kind"]: body["spec"]["template"] for body in built if "template" in body.get("spec", {})}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nodeSelector", {"disk": "fast"}),
        ("tolerations", [{"key": "dedicated", "operator": "Exists"}]),
        ("affinity", {"nodeAffinity": {"x": 1}}),
        ("priorityClassName", "high"),
        ("imagePullSecrets", [{"name": "registry"}]),
    ],
)
def test_a_field_stands_in_the_pods_as_it_was_given(kind: str, field: str, value: object) -> None:
    assert templates({field: value})[kind]["spec"][field] == value


@pytest.mark.parametrize(("kind", "component"), [("Deployment", "runtime"), ("StatefulSet", "qdrant")])
def test_pods_are_spread_among_their_own(kind: str, component: str) -> None:
    (spread,) = templates({"topologySpreadConstraints": [{"topologyKey": "zone"}]})[kind]["spec"][
        "topologySpreadConstraints"
    ]
    assert (spread["maxSkew"], spread["topologyKey"], spread["whenUnsatisfiable"]) == (1, "zone", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == component


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_nothing_said_pods_prefer_different_nodes(kind: str) -> None:
    pod = templates({})[kind]["spec"]
    (preferred,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert not {"nodeSelector", "tolerations", "topologySpreadConstraints", "priorityClassName"} & pod.keys()


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_labels_annotations_and_variables_are_added(kind: str) -> None:
    template = {
        "labels": {"team": "search"},
        "annotations": {"a/b": "c"},
        "extraEnv": [
            {"name": "A", "value": "b"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
    }
    made = templates(template)[kind]
    assert made["metadata"]["labels"].items() >= {"team": "search", "app.kubernetes.io/instance": "handbook"}.items()
    assert made["metadata"]["annotations"]["a/b"] == "c"
    assert made["spec"]["containers"][0]["env"][-2:] == template["extraEnv"]


def test_ours_win_where_no_schema_stopped_theirs() -> None:
    stolen = {"labels": {"app.kubernetes.io/instance": "other"}, "annotations": {"ragops.dev/config-hash": "x"}}
    for made in templates(stolen).values():
        assert made["metadata"]["labels"]["app.kubernetes.io/instance"] == "handbook"
        assert made["metadata"]["annotations"]["ragops.dev/config-hash"] != "x"


def test_a_service_account_bears_its_annotations_and_mounts_no_token() -> None:
    app = builders.app(podTemplate={"serviceAccountAnnotations": {"example.com/role": "reader"}})
    accounts = [body for body in desired.build(app, builders.inputs()).children if body["kind"] == "ServiceAccount"]
    assert {body["metadata"]["name"]: body["metadata"].get("annotations") for body in accounts} == {
        "handbook": {"example.com/role": "reader"},
        "handbook-qdrant": None,
    }
    assert {body["automountServiceAccountToken"] for body in accounts} == {False}
