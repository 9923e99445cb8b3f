"""`kubectl get ragpipelines` is truthful at each stage of a pipeline's life."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.installed import FAST_PROBES, SMALL, Namespace, Object, pipeline, wait_for

pytestmark = pytest.mark.e2e
NAME = "stages"
CHILDREN = "configmaps,secrets,services,statefulsets,deployments"


@pytest.fixture(scope="module")
def namespace(namespace_of: Callable[[str], Namespace]) -> Namespace:
    return namespace_of("states")


def columns(namespace: Namespace) -> tuple[str, str]:
    """READY and STATUS as kubectl prints them."""
    lines = namespace.kubectl("get", "ragpipelines", NAME, "--ignore-not-found").splitlines()
    if not lines:
        return "", ""
    header, row = lines[0], lines[1]
    starts = [header.index(word) for word in ("READY", "STATUS", "URL")]
    return row[starts[0] : starts[1]].strip(), row[starts[1] : starts[2]].strip()


def owned(namespace: Namespace) -> dict[tuple[str, str], Object]:
    selector = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/managed-by=rag-operator"
    return {(o["kind"], o["metadata"]["name"]): o for o in namespace.list(CHILDREN, selector)}


def versions(namespace: Namespace) -> dict[tuple[str, str], str]:
    found = owned(namespace)
    pipeline_now = namespace.get("ragpipeline", NAME)
    assert pipeline_now is not None
    return {key: o["metadata"]["resourceVersion"] for key, o in found.items()} | {
        ("RagPipeline", NAME): pipeline_now["metadata"]["resourceVersion"]
    }


def test_it_starts_and_says_what_it_waits_for(namespace: Namespace) -> None:
    """Applied: not ready, with words; store starting: names the store; ready only when a query could be answered."""
    seen: list[tuple[str, str, str]] = []
    namespace.apply(pipeline(NAME))

    def finished() -> bool:
        ready = namespace.condition(NAME)
        line = (ready["status"], ready["reason"], ready["message"])
        if not seen or seen[-1] != line:
            seen.append(line)
        return ready["status"] == "True"

    wait_for("the pipeline to be ready", finished, seconds=300, every=0.1)
    before = [line for line in seen[:-1] if line[0]]
    assert before, seen
    assert all(status == "False" and message for status, _, message in before), seen
    assert any("qdrant" in message.lower() for _, _, message in before), seen
    assert columns(namespace)[0] == "True"
    with namespace.http(NAME) as client:
        assert client.get("/ready").status_code == 200


def test_steady_state_writes_nothing(namespace: Namespace) -> None:
    namespace.wait_ready(NAME)
    time.sleep(5)
    before = versions(namespace)
    time.sleep(60)
    assert versions(namespace) == before


@pytest.mark.parametrize(
    ("kind", "suffix"), [("service", ""), ("configmap", ""), ("deployment", ""), ("statefulset", "-qdrant")]
)
def test_a_deleted_child_comes_back(namespace: Namespace, kind: str, suffix: str) -> None:
    old = namespace.get(kind, NAME + suffix)
    assert old is not None
    namespace.kubectl("delete", kind, NAME + suffix, "--wait=false")

    def back() -> bool:
        new = namespace.get(kind, NAME + suffix)
        return bool(new and new["metadata"]["uid"] != old["metadata"]["uid"])

    wait_for(f"the {kind} to come back", back, seconds=60)
    namespace.wait_ready(NAME)


def test_a_hand_edited_child_is_put_right(namespace: Namespace) -> None:
    patch = json.dumps({"data": {"INGEST_BATCH_SIZE": "7"}})
    namespace.kubectl("patch", "configmap", NAME, "--type=merge", "-p", patch)

    def right() -> bool:
        now: Any = namespace.get("configmap", NAME)
        return bool(now["data"]["INGEST_BATCH_SIZE"] == "32")

    wait_for("the ConfigMap to be put right", right, seconds=30)


def test_a_bad_image_is_named_and_the_old_pods_serve_on(namespace: Namespace) -> None:
    namespace.wait_ready(NAME)
    namespace.apply(pipeline(NAME, image="localhost/no-such-runtime:1"))

    def told() -> bool:
        updated = namespace.condition(NAME, "Updated")
        return updated["status"] == "False" and updated["reason"] == "ImagePullFailed"

    wait_for("Updated to be False, ImagePullFailed", told, seconds=120)
    message = namespace.condition(NAME, "Updated")["message"]
    assert "localhost/no-such-runtime:1" in message
    assert "no-such-runtime" in columns(namespace)[1]
    with namespace.http(NAME) as client:
        assert client.get("/ready").status_code == 200
    namespace.apply(pipeline(NAME))
    namespace.wait_ready(NAME)


def test_a_new_pipeline_with_a_bad_image_is_not_ready(namespace: Namespace) -> None:
    namespace.apply(pipeline("misspelt", image="localhost/no-such-runtime:1"))

    def told() -> bool:
        ready = namespace.condition("misspelt")
        return ready["status"] == "False" and ready["reason"] == "ImagePullFailed"

    wait_for("Ready to be False, ImagePullFailed", told, seconds=180)
    namespace.kubectl("delete", "ragpipeline", "misspelt", "--wait=false")


def test_the_embedded_store_needs_no_server(namespace: Namespace) -> None:
    name = "embedded"
    namespace.apply(
        pipeline(name, vectorStore={"embedded": {"storage": {"size": "1Gi"}}}, probes=FAST_PROBES, resources=SMALL)
    )
    namespace.wait_ready(name)
    assert namespace.get("statefulset", f"{name}-qdrant") is None
    text = {"documents": [{"id": "a", "source": "a.txt", "text": "The lighthouse keeper is called Ada Finch."}]}
    with namespace.http(name) as client:
        assert client.post("/v1/documents", params={"wait": "true"}, json=text).json()["status"] == "succeeded"
    pod = namespace.list("pods", f"app.kubernetes.io/instance={name},app.kubernetes.io/component=runtime")[0]
    namespace.kubectl("delete", "pod", pod["metadata"]["name"])
    namespace.wait_ready(name)
    with namespace.http(name) as client:
        answer = client.post("/v1/query", json={"question": "What is the lighthouse keeper called?"}).json()
    assert "Ada Finch" in answer["answer"]
    namespace.kubectl("delete", "ragpipeline", name)


def test_deleted_it_takes_what_it_owned_and_leaves_the_volume(namespace: Namespace) -> None:
    namespace.kubectl("delete", "ragpipeline", NAME)
    assert columns(namespace) == ("", "")
    wait_for("its children to go", lambda: not owned(namespace), seconds=120)
    claims = namespace.list("pvc", f"app.kubernetes.io/instance={NAME}")
    assert [claim["status"]["phase"] for claim in claims] == ["Bound"]
    namespace.kubectl("delete", "pvc", "-l", f"app.kubernetes.io/instance={NAME}", "--wait=false")
