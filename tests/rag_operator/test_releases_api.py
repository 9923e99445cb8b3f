"""Another release of the operator takes over pipelines that run: N-1, N and N-1 again, and none at all in between."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rag_operator.served import Served, wait_until

pytestmark = pytest.mark.api
OWN = {"image": "example.com/rag:own", "vectorStore": {"managed": {"image": "example.com/qdrant:own"}}}
OLD = {"RUNTIME_IMAGE": "example.com/rag:1", "QDRANT_IMAGE": "example.com/qdrant:1"}
NEW = {"RUNTIME_IMAGE": "example.com/rag:2", "QDRANT_IMAGE": "example.com/qdrant:2"}


def pods(served: Served, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for part in ("runtime", "qdrant") for pod in served.pods(name, part)}


def images(served: Served, name: str) -> list[str]:
    def image(kind: str, child: str) -> str:
        body: dict[str, Any] = served.get(kind, child) or {}
        return str(body["spec"]["template"]["spec"]["containers"][0]["image"])

    return [image("deployment", name), image("statefulset", f"{name}-qdrant")]


def test_pods_that_name_their_images_are_never_replaced_by_another_release(served: Served) -> None:
    """Those that follow the release are."""
    with served.operator("old", **OLD):
        served.pipeline("own", **OWN)
        served.pipeline("following")
        for name in ("own", "following"):
            wait_until(lambda name=name: len(pods(served, name)) == 2, what=f"pods of {name}")
            served.make_ready(name)
        before = pods(served, "own")
    # As after `helm uninstall`: nobody is there, and nothing goes.
    assert pods(served, "own") == before
    for number, release in enumerate((NEW, OLD)):
        with served.operator(f"release-{number}", **release) as operator:
            expected = [release["RUNTIME_IMAGE"], release["QDRANT_IMAGE"]]
            wait_until(lambda expected=expected: images(served, "following") == expected, what=str(expected))
            served.kubectl("annotate", "rp", "own", f"example.com/seen-by={number}", "--overwrite")
            wait_until(lambda: any(line["event"] == "leading" for line in operator.said()))
            served.kubectl("delete", "configmap", "own")
            wait_until(lambda: served.get("configmap", "own"), what="the work of the new one")
        assert pods(served, "own") == before
        assert images(served, "own") == ["example.com/rag:own", "example.com/qdrant:own"]
        served.wait_for("own", "Ready", "True", "Reconciled")
