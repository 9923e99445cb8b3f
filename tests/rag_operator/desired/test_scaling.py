"""How many pods, how few, and who says so."""

from __future__ import annotations

from typing import Any

import pytest

from rag_operator import desired, names
from rag_operator.desired import scaling
from rag_operator.state import Observed, Workload
from tests import builders
from tests.builders import EMBEDDED

SCALED = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}


def budgets(**fields: Any) -> set[str]:
    built = scaling.build_scaling(builders.app(**fields))
    return {body["metadata"]["name"] for body in built if body["kind"] == "PodDisruptionBudget"}


@pytest.mark.parametrize(
    ("fields", "names_"),
    [
        ({}, set()),
        ({"replicas": 2}, {"handbook"}),
        (SCALED, {"handbook"}),
        ({"autoscaling": {"minReplicas": 1}}, set()),
        ({"vectorStore": {"managed": {"replicas": 3}}}, {"handbook-qdrant"}),
        ({"replicas": 2, "suspend": True}, set()),
        (EMBEDDED, set()),
    ],
)
def test_only_two_and_more_pods_have_a_disruption_budget(fields: dict[str, Any], names_: set[str]) -> None:
    assert budgets(**fields) == names_


def test_an_autoscaler_follows_the_cpu_of_the_deployment() -> None:
    (scaler,) = (body for body in scaling.build_scaling(builders.app(**SCALED)) if "metrics" in body["spec"])
    spec = scaler["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "handbook"}
    assert spec["metrics"][0]["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }


def deployment(**fields: Any) -> dict[str, Any]:
    built = desired.build(builders.app(**fields), builders.inputs()).children
    return next(body["spec"] for body in built if body["kind"] == names.DEPLOYMENT.name)


def test_while_an_autoscaler_counts_the_pods_the_number_is_not_ours() -> None:
    assert "replicas" not in deployment(**SCALED)
    assert deployment(replicas=4)["replicas"] == 4
    assert deployment(**SCALED, suspend=True)["replicas"] == 0


@pytest.mark.parametrize(
    ("wanted", "ours", "kept"),
    [
        pytest.param(3, True, 3, id="as many as there are"),
        pytest.param(0, True, 2, id="from none, as few as may be"),
        pytest.param(9, True, 5, id="no more than may be"),
        pytest.param(3, False, None, id="somebody else counts already"),
    ],
)
def test_before_we_let_go_of_the_number_another_holds_it(wanted: int, ours: bool, kept: int | None) -> None:
    seen = Observed(runtime=Workload(wanted=wanted, settled=True, replicas_are_ours=ours))
    handover = desired.build(builders.app(**SCALED), builders.inputs(), seen).handover
    assert (handover["spec"]["replicas"] if handover else None) == kept


def test_a_number_of_our_own_is_handed_to_nobody() -> None:
    seen = Observed(runtime=Workload(wanted=3, settled=True, replicas_are_ours=True))
    assert desired.build(builders.app(replicas=3), builders.inputs(), seen).handover is None
