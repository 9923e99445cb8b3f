"""The operator as a process against a real API server and its controllers: what it makes, keeps, says and leaves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.rag_operator.served import MADE, Operator, Served, wait_until

pytestmark = pytest.mark.api

MAIN = "handbook"


def wait_made(served: Served, name: str) -> dict[str, dict[str, Any]]:
    expected = {child.format(name) for child in MADE}
    wait_until(lambda: served.children(name).keys() >= expected, what=f"the children of {name}")
    return served.children(name)


@pytest.fixture(scope="module")
def handbook(served: Served, operator: Operator) -> str:
    """A pipeline that is Ready, its pods' kubelet played by the test."""
    served.pipeline(MAIN)
    wait_made(served, MAIN)
    served.make_ready(MAIN)
    return MAIN


def versions(served: Served, name: str) -> dict[str, str]:
    pipeline = served.get("ragpipeline", name)
    assert pipeline
    found = {child: body["metadata"]["resourceVersion"] for child, body in served.children(name).items()}
    return found | {"RagPipeline": pipeline["metadata"]["resourceVersion"]}


def test_it_makes_what_was_declared_and_owns_it(served: Served, handbook: str) -> None:
    children = served.children(handbook)
    assert children.keys() == {child.format(handbook) for child in MADE}
    pipeline = served.get("ragpipeline", handbook)
    assert pipeline
    owners = {child["metadata"]["ownerReferences"][0]["uid"] for child in children.values()}
    assert owners == {pipeline["metadata"]["uid"]}


def test_the_status_says_that_it_is_ready_and_where(served: Served, handbook: str) -> None:
    pipeline = served.get("ragpipeline", handbook)
    assert pipeline
    status = pipeline["status"]
    assert status["url"] == f"http://{handbook}.{served.namespace}.svc"
    assert (status["replicas"], status["readyReplicas"], status["observedGeneration"]) == (1, 1, 1)
    held = {condition["type"]: condition["status"] for condition in status["conditions"]}
    held_here = dict.fromkeys(("Ready", "SecretsResolved", "VectorStoreReady", "RuntimeReady", "Updated"), "True")
    # From outside the cluster nobody can tell.
    assert held == {**held_here, "Answering": "Unknown"}
    columns = served.kubectl("get", "rp", handbook)
    assert "1 of 1 runtime pods are ready" in columns
    assert status["url"] in columns


def test_kopf_leaves_no_trace_on_it(served: Served, handbook: str) -> None:
    pipeline = served.get("ragpipeline", handbook)
    assert pipeline
    assert "finalizers" not in pipeline["metadata"]
    assert [name for name in pipeline["metadata"].get("annotations", {}) if "kopf" in name] == []


def test_steady_state_writes_nothing(served: Served, handbook: str) -> None:
    """Over several whole resyncs, which come every two seconds here."""
    before = versions(served, handbook)
    time.sleep(8)
    assert versions(served, handbook) == before


@pytest.mark.parametrize(
    ("kind", "name", "edit", "path", "value"),
    [
        ("configmap", "{}", {"data": {"LOG_LEVEL": "DEBUG"}}, ("data", "LOG_LEVEL"), "INFO"),
        ("configmap", "{}", {"data": {"LOG_LEVEL": None}}, ("data", "LOG_LEVEL"), "INFO"),
        ("service", "{}", {"spec": {"selector": {"app": "other"}}}, ("spec", "selector", "app"), None),
        ("deployment", "{}", {"spec": {"replicas": 5}}, ("spec", "replicas"), 1),
        ("statefulset", "{}-qdrant", {"spec": {"replicas": 3}}, ("spec", "replicas"), 1),
        (
            "deployment",
            "{}",
            {"metadata": {"labels": {"app.kubernetes.io/part-of": "x"}}},
            ("metadata", "labels", "app.kubernetes.io/part-of"),
            MAIN,
        ),
        (
            "deployment",
            "{}",
            {"metadata": {"labels": {"app.kubernetes.io/instance": "stolen"}}},
            ("metadata", "labels", "app.kubernetes.io/instance"),
            MAIN,
        ),
        (
            "deployment",
            "{}",
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
            ("metadata", "labels", "app.kubernetes.io/managed-by"),
            "rag-operator",
        ),
    ],
)
def test_a_hand_edited_child_is_put_right(
    served: Served, handbook: str, kind: str, name: str, edit: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    served.patch(kind, name.format(handbook), edit)

    def is_right() -> bool:
        found: Any = served.get(kind, name.format(handbook))
        for part in path:
            found = found.get(part)
        return bool(found == value)

    wait_until(is_right, what=f"{kind} {path}")


def test_what_others_add_to_a_child_is_theirs(served: Served, handbook: str) -> None:
    served.kubectl("annotate", "deployment", handbook, "example.com/note=kept")
    time.sleep(5)
    deployment = served.get("deployment", handbook)
    assert deployment
    assert deployment["metadata"]["annotations"]["example.com/note"] == "kept"


@pytest.mark.parametrize(("kind", "name"), [("configmap", "{}"), ("service", "{}"), ("service", "{}-qdrant")])
def test_a_deleted_child_comes_back(served: Served, handbook: str, kind: str, name: str) -> None:
    before = served.get(kind, name.format(handbook))
    assert before
    served.kubectl("delete", kind, name.format(handbook))
    after = wait_until(lambda: served.get(kind, name.format(handbook)))
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_lost_binding_is_made_anew_with_the_same_key(served: Served, handbook: str) -> None:
    """No watch sees Secrets: the resync does."""
    key = served.key(handbook, "client")
    served.kubectl("delete", "secret", f"{handbook}-client")
    wait_until(lambda: served.get("secret", f"{handbook}-client"))
    assert served.key(handbook, "client") == key


def test_what_is_no_longer_wanted_is_removed_and_what_is_not_ours_stays(served: Served, handbook: str) -> None:
    pipeline = served.get("ragpipeline", handbook)
    wanted = served.get("configmap", handbook)
    assert pipeline
    assert wanted
    meta = {key: wanted["metadata"][key] for key in ("namespace", "labels", "ownerReferences")}
    stray = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": f"{handbook}-old"}}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": "theirs", "ownerReferences": []}}
    served.apply(theirs, stray)
    wait_until(lambda: served.get("configmap", f"{handbook}-old") is None)
    assert served.get("configmap", "theirs")


def test_a_bad_image_is_told_while_the_old_pod_serves_on(served: Served, handbook: str) -> None:
    served.pipeline(handbook, image="registry.example/typo:1")

    def new_pods() -> list[dict[str, Any]]:
        pods = served.pods(handbook, "runtime")
        return [pod for pod in pods if pod["spec"]["containers"][0]["image"] == "registry.example/typo:1"]

    pod = wait_until(new_pods)[0]
    served.play_kubelet(pod, ready=False, state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}})
    served.wait_for(handbook, "Updated", "False", "ImagePullFailed")
    served.wait_for(handbook, "Ready", "True", "ImagePullFailed")
    assert "registry.example/typo:1" in served.message(handbook)
    served.pipeline(handbook)
    served.wait_for(handbook, "Ready", "True", "Reconciled")


def test_a_grown_volume_grows_and_nothing_is_replaced(served: Served, handbook: str) -> None:
    before = served.get("statefulset", f"{handbook}-qdrant")
    assert before

    def requested() -> str:
        claim = served.get("pvc", f"qdrant-storage-{handbook}-qdrant-0")
        assert claim
        return str(claim["spec"]["resources"]["requests"]["storage"])

    served.cluster.kubectl("patch", "storageclass", "standard", "-p", '{"allowVolumeExpansion": true}')
    bind(served, f"qdrant-storage-{handbook}-qdrant-0")
    served.pipeline(handbook, vectorStore={"managed": {"storage": {"size": "60Gi"}}})
    wait_until(lambda: requested() == "60Gi")
    served.wait_for(handbook, "Updated", "True", "Reconciled")
    after = served.get("statefulset", f"{handbook}-qdrant")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_volume_that_cannot_grow_is_told_in_the_clusters_words(served: Served, handbook: str) -> None:
    served.cluster.kubectl("patch", "storageclass", "standard", "-p", '{"allowVolumeExpansion": false}')
    served.pipeline(handbook, vectorStore={"managed": {"storage": {"size": "70Gi"}}})
    served.wait_for(handbook, "Updated", "False", "Forbidden")
    assert "storageclass" in served.message(handbook, "Updated")
    assert "service account" not in served.message(handbook, "Updated")
    served.cluster.kubectl("patch", "storageclass", "standard", "-p", '{"allowVolumeExpansion": true}')
    served.wait_for(handbook, "Updated", "True", "Reconciled")


def bind(served: Served, claim: str) -> None:
    """What a provisioner and the volume controller do: only a bound claim may grow."""
    meta = {"name": f"{served.namespace}-{claim}"}
    spec = {
        "capacity": {"storage": "100Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "hostPath": {"path": "/nowhere"},
        "claimRef": {"namespace": served.namespace, "name": claim},
    }
    served.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec})
    wait_until(lambda: (served.get("pvc", claim) or {})["status"]["phase"] == "Bound", what=f"{claim} to be bound")


def test_transitions_are_events(served: Served, handbook: str) -> None:
    def reasons() -> set[str]:
        jsonpath = "jsonpath={range .items[*]}{.reason} {end}"
        selector = f"regarding.name={handbook}"
        return set(
            served.kubectl("get", "events.events.k8s.io", f"--field-selector={selector}", "-o", jsonpath).split()
        )

    wait_until(lambda: reasons() >= {"Created", "Updated", "ImagePullFailed", "Forbidden"})


def test_deleting_it_takes_all_but_the_volume(served: Served, operator: Operator) -> None:
    served.pipeline("brief")
    wait_made(served, "brief")
    wait_until(lambda: served.owned("persistentvolumeclaims", "brief"))
    served.kubectl("delete", "ragpipeline", "brief")
    wait_until(lambda: not served.children("brief"))
    assert served.owned("persistentvolumeclaims", "brief")


def test_one_that_somebody_holds_back_from_its_end_says_so(served: Served, operator: Operator) -> None:
    served.pipeline("held")
    wait_made(served, "held")
    served.patch("rp", "held", {"metadata": {"finalizers": ["example.com/held"]}})
    served.kubectl("delete", "rp", "held", "--wait=false")
    served.wait_for("held", "Ready", "False", "Deleting")
    served.patch("rp", "held", {"metadata": {"finalizers": None}})
    wait_until(lambda: not served.children("held"))


def test_a_pipeline_of_the_same_name_finds_its_volume_again(served: Served, operator: Operator) -> None:
    (claim,) = served.owned("persistentvolumeclaims", "brief")
    served.pipeline("brief")
    wait_made(served, "brief")
    assert [each["metadata"]["uid"] for each in served.owned("persistentvolumeclaims", "brief")] == [
        claim["metadata"]["uid"]
    ]


def test_a_pipeline_with_an_embedded_store_has_one_volume_and_no_server(served: Served, operator: Operator) -> None:
    served.pipeline("small", vectorStore={"embedded": {}})
    wait_until(lambda: served.get("deployment", "small"))
    claim = served.get("persistentvolumeclaim", "small-data")
    assert claim
    assert "ownerReferences" not in claim["metadata"]
    assert not [name for name in served.children("small") if "qdrant" in name]


def test_no_log_line_event_or_status_has_a_secret_in_it(served: Served, handbook: str, operator: Operator) -> None:
    keys = [served.key(handbook, name) for name in ("admin", "client", "qdrant")]
    told = operator.log.read_text() + served.kubectl("get", "events,ragpipelines,configmaps", "-o", "json")
    assert len(keys[0]) >= 40
    assert not [key for key in keys if key in told]
    assert operator.said()


def test_told_to_stop_it_leaves_the_lease_to_the_next(served: Served, operator: Operator) -> None:
    """The last test of this module: the operator does not come back."""
    started_at = time.monotonic()
    assert operator.end() == 0
    assert time.monotonic() - started_at < 15
    lease = served.get("lease", "rag-operator")
    assert lease
    assert lease["spec"].get("holderIdentity", "") == ""
    operator.start()
