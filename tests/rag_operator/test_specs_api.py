"""Any spec at all against the real API server: refused in clear words, or worked on; then a good one, and Ready."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.cluster import ClusterError
from tests.rag_operator.served import Operator, Served, wait_until
from tests.rag_operator.specs import specs

pytestmark = pytest.mark.api
EXAMPLES = 8 * int(os.environ.get("RUNS") or 1)
NUMBERS = itertools.count()


@given(spec=specs())
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_any_spec_is_refused_clearly_or_worked_on_and_can_be_mended(
    served: Served, operator: Operator, spec: dict[str, Any]
) -> None:
    name = f"made-{next(NUMBERS)}"
    if refused := refusal(served, name, spec):
        assert "spec" in refused, spec
        return
    wait_until(lambda: is_judged(served, name), what=f"a judgement of {spec}")
    served.kubectl("replace", "-f", "-", input=json.dumps(body(served, name, mended(served, name))))
    wait_until(lambda: is_judged(served, name), what="a judgement of the mended spec")
    served.make_ready(name)
    served.kubectl("delete", "rp", name)


def refusal(served: Served, name: str, spec: dict[str, Any]) -> str:
    try:
        served.kubectl("create", "-f", "-", input=json.dumps(body(served, name, spec)))
    except ClusterError as refused:
        return str(refused)
    return ""


def body(served: Served, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": served.namespace}
    return {"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "metadata": meta, "spec": spec}


def is_judged(served: Served, name: str) -> bool:
    found = served.get("ragpipeline", name) or {}
    return bool(found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"])


def mended(served: Served, name: str) -> dict[str, Any]:
    """All fields as by default but those that cannot change."""
    store = ((served.get("ragpipeline", name) or {})["spec"]).get("vectorStore", {})
    kept = {part: store[part] for part in ("managed", "external", "embedded", "collection") if part in store}
    for part in ("resources", "podTemplate", "image", "apiKeySecretRef", "tuning"):
        for block in ("managed", "external", "embedded"):
            kept.get(block, {}).pop(part, None)
    return {"vectorStore": kept}


def test_the_operator_ran_through_all_of_it(operator: Operator) -> None:
    assert operator.process
    assert operator.process.poll() is None
    assert [line for line in operator.said() if line["level"] == "error"] == []
