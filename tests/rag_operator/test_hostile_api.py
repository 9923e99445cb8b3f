"""What hostile or unlucky hands do to a pipeline and its objects: it is whole again, and the operator falls silent."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from rag_operator import rotation
from tests.cluster import ClusterError
from tests.conftest import prepare
from tests.rag_operator.served import KINDS, MADE, Operator, Served, wait_until

pytestmark = pytest.mark.api
NAME = "victim"
ROTATE, RESTART = "ragops.dev/rotate-key", "kubectl.kubernetes.io/restartedAt"


@pytest.fixture(scope="module")
def victim(served: Served, operator: Operator) -> str:
    served.pipeline(NAME)
    wait_whole(served, NAME)
    served.make_ready(NAME)
    return NAME


def wait_whole(served: Served, name: str) -> None:
    def is_whole() -> bool:
        found = served.children(name)
        owner = (served.get("ragpipeline", name) or {"metadata": {"uid": ""}})["metadata"]["uid"]
        owners = {tuple(o["uid"] for o in child["metadata"].get("ownerReferences", [])) for child in found.values()}
        return found.keys() == {child.format(name) for child in MADE} and owners == {(owner,)}

    wait_until(is_whole, what=f"all of {name}")


def wait_silent(served: Served, operator: Operator) -> None:
    """No writes over several resyncs, soon: a loop would never end."""
    wait_until(lambda: served.quiet(operator, 6) == [], what="silence")


def encoded(**values: bytes) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(value).decode() for name, value in values.items()}}


def bound(served: Served, name: str) -> str:
    secret = served.get("secret", f"{name}-client")
    return base64.b64decode(secret["data"]["api-key"]).decode() if secret else ""


def test_keys_that_are_none_are_replaced(served: Served, victim: str, operator: Operator) -> None:
    """Neither a key of the editor's nor a line of the keys' file can be made of them."""
    kept = served.key(victim, "operator")
    spoilt = encoded(admin=b"\xff\x00", client=b"two words\nroot admin x", qdrant=b"", **{"api-keys": b"root admin x"})
    served.patch("secret", f"{victim}-keys", spoilt)

    def are_keys() -> bool:
        try:
            return all(rotation.USABLE.fullmatch(served.key(victim, name)) for name in ("admin", "client", "qdrant"))
        except UnicodeDecodeError:
            return False

    wait_until(are_keys)
    wait_until(lambda: bound(served, victim) == served.key(victim, "client"))
    admitted = [line.split() for line in served.key(victim, "api-keys").splitlines()]
    assert [name for name, _, _ in admitted] == ["admin", "client", "operator"]
    assert served.key(victim, "operator") == kept
    wait_silent(served, operator)


def test_lost_keys_are_made_anew_and_told(served: Served, victim: str) -> None:
    lost = served.key(victim, "client")
    served.kubectl("delete", "secret", f"{victim}-keys", f"{victim}-client")
    wait_until(lambda: bound(served, victim))
    wait_until(lambda: served.get("secret", f"{victim}-keys"))
    assert bound(served, victim) == served.key(victim, "client") != lost


def test_a_secret_that_was_made_immutable_is_told_of_until_it_is_gone(served: Served, victim: str) -> None:
    served.patch("secret", f"{victim}-keys", {"immutable": True})
    served.kubectl("annotate", "rp", victim, f"{ROTATE}=1", "--overwrite")
    served.wait_for(victim, "Updated", "False", "InvalidSpec")
    assert f"{victim}-keys" in served.message(victim, "Updated")
    assert "immutable" in served.message(victim, "Updated")
    assert bound(served, victim) == served.key(victim, "client")
    served.kubectl("delete", "secret", f"{victim}-keys")
    wait_until(lambda: served.get("secret", f"{victim}-keys"))
    wait_until(lambda: bound(served, victim) == served.key(victim, "client"))
    wait_whole(served, victim)


def test_owners_and_labels_that_were_removed_come_back(served: Served, victim: str, operator: Operator) -> None:
    for child in served.children(victim).values():
        served.patch(child["kind"], child["metadata"]["name"], {"metadata": {"ownerReferences": None}})
    wait_whole(served, victim)
    served.kubectl("label", "configmap,service,deployment", victim, "app.kubernetes.io/instance=other", "--overwrite")
    wait_whole(served, victim)
    wait_silent(served, operator)


def test_an_owner_that_is_no_more_takes_its_objects_along_and_they_are_made_anew(
    served: Served, victim: str, operator: Operator
) -> None:
    """As after an import from another cluster, whose pipeline had another uid."""
    stale = [{"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "name": victim, "uid": "long-gone"}]
    for kind in ("configmap", "service", "deployment"):
        served.patch(kind, victim, {"metadata": {"ownerReferences": [{**stale[0], "controller": True}]}})
    wait_whole(served, victim)
    wait_silent(served, operator)


def test_a_manager_that_forces_our_fields_has_its_way_for_a_moment(
    served: Served, victim: str, operator: Operator
) -> None:
    meta = {"name": victim, "namespace": served.namespace}
    for number in range(10):
        forced = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 5 + number}}
        words = ("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-")
        served.kubectl(*words, input=json.dumps(forced))
    wait_until(lambda: (served.get("deployment", victim) or {})["spec"]["replicas"] == 1)
    wait_silent(served, operator)


def test_keys_that_are_rotated_every_moment_stay_consistent(served: Served, victim: str, operator: Operator) -> None:
    for number in range(10):
        served.kubectl("annotate", "rp", victim, f"{ROTATE}=again-{number}-{'ü' * 300}", "--overwrite")
        admitted = {line.split()[2] for line in served.key(victim, "api-keys").splitlines()}
        assert len(admitted) in (3, 6)
    wait_until(lambda: "again-9-" in served.kubectl("get", "secret", f"{victim}-keys", "-o", "yaml"))
    wait_silent(served, operator)
    assert bound(served, victim) in served.key(victim, "api-keys")


def test_values_of_any_length_and_script_are_refused_or_borne(served: Served, operator: Operator) -> None:
    served.pipeline("strange", podTemplate={"annotations": {"example.com/note": "日本語 \"'\\ 🙂 " * 200}})
    served.kubectl("annotate", "rp", "strange", f"{RESTART}={'é' * 300}", f"example.com/x={'z' * 100_000}")
    wait_whole(served, "strange")
    with pytest.raises(ClusterError):
        served.pipeline("strange", image="ä" * 600)
    with pytest.raises(ClusterError):
        served.pipeline("strange", podTemplate={"labels": {"l": "x" * 300}})
    wait_silent(served, operator)


def test_paused_in_the_middle_of_a_roll_out_it_goes_on_later(served: Served, victim: str) -> None:
    served.pipeline(victim, image="registry.example/next:1")
    served.wait_for(victim, "Updated", "False", "Progressing")
    served.kubectl("annotate", "rp", victim, "ragops.dev/pause-reconciliation=true")
    served.wait_for(victim, "ReconciliationPaused", "True", "Paused")
    served.pipeline(victim)
    served.wait_for(victim, "Updated", "False", "Paused")
    served.kubectl("annotate", "rp", victim, "ragops.dev/pause-reconciliation-")
    served.wait_for(victim, "ReconciliationPaused", "", "")
    wait_until(lambda: "next:1" not in served.kubectl("get", "deployment", victim, "-o", "yaml"))
    served.make_ready(victim)


def test_an_autoscaler_that_comes_and_goes_leaves_what_is_declared(
    served: Served, victim: str, operator: Operator
) -> None:
    for _ in range(3):
        served.pipeline(victim, autoscaling={"minReplicas": 2, "maxReplicas": 4})
        wait_until(lambda: served.get("hpa", victim))
        wait_until(lambda: (served.get("deployment", victim) or {})["spec"]["replicas"] == 2)
        served.pipeline(victim)
        wait_until(lambda: served.get("hpa", victim) is None)
        wait_until(lambda: (served.get("deployment", victim) or {})["spec"]["replicas"] == 1)
    wait_until(lambda: served.get("pdb", victim) is None)
    wait_silent(served, operator)


def test_an_object_that_kubernetes_makes_itself_is_not_to_be_deleted(served: Served, operator: Operator) -> None:
    """Every namespace has a ServiceAccount `default`; one that is deleted comes back."""
    wait_until(lambda: served.get("serviceaccount", "default"))
    served.pipeline("default")
    served.wait_for("default", "Ready", "False", "NameConflict")
    assert "rename the pipeline" in served.message("default")
    assert "kubectl delete" not in served.message("default")
    served.kubectl("delete", "rp", "default")


def test_a_definition_that_was_deleted_and_comes_back_is_worked_on_again(served: Served, operator: Operator) -> None:
    """All pipelines go with it, and their objects too; the process ends, and a new one waits."""
    served.cluster.kubectl("delete", "crd", "ragpipelines.ragops.dev", "--timeout=60s")
    assert operator.process
    assert operator.process.wait(timeout=60) == 1
    assert operator.log.read_text().splitlines()[-1].startswith("rag-operator: a watch ended")
    operator.start()
    wait_until(lambda: not served.everything(KINDS), what="the removal of all objects")
    wait_until(lambda: "is the CRD installed?" in str(operator.said()[-1]), what="a word of the CRD")
    prepare(served.cluster)
    served.pipeline("risen")
    wait_whole(served, "risen")
    served.kubectl("delete", "service", "risen")
    wait_whole(served, "risen")


def test_a_namespace_that_is_deleted_takes_all_along_and_nobody_fights_it(served: Served, operator: Operator) -> None:
    served.cluster.kubectl("delete", "namespace", served.namespace, "--wait=false")
    gone = f"namespace/{served.namespace}"
    wait_until(
        lambda: gone not in served.cluster.kubectl("get", "namespaces", "-o", "name").split(), what="the end of it"
    )
    time.sleep(1)
    assert served.quiet(operator, 4) == []


def test_the_operator_never_had_a_defect(operator: Operator) -> None:
    """Its lease was in the namespace that was deleted: that is an end, and so is a watch of a kind that is no more."""
    errors = [line["event"] for line in operator.said() if line["level"] == "error"]
    assert [event for event in errors if event != "ending" and "has failed: 404" not in event] == []
