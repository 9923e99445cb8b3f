"""The whole resource on a real API server: every kind of child, what is pruned, and whose number of pods it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from rag_operator import names
from tests.cluster import Cluster
from tests.conftest import wait_established
from tests.rag_operator.served import KINDS, ROOT, Operator, Served, wait_until

pytestmark = pytest.mark.api
FULL: dict[str, Any] = yaml.safe_load((ROOT / "examples/full.yaml").read_text())
ALL_KINDS = f"{KINDS},servicemonitors.monitoring.coreos.com,prometheusrules.monitoring.coreos.com"
MADE = {
    "ConfigMap library",
    "ConfigMap library-dashboard",
    "Deployment library",
    "HorizontalPodAutoscaler library",
    "Ingress library",
    "NetworkPolicy library",
    "NetworkPolicy library-qdrant",
    "PodDisruptionBudget library",
    "PodDisruptionBudget library-qdrant",
    "PrometheusRule library",
    "Secret library-client",
    "Secret library-keys",
    "Service library",
    "Service library-qdrant",
    "Service library-qdrant-headless",
    "ServiceAccount library",
    "ServiceAccount library-qdrant",
    "ServiceMonitor library",
    "StatefulSet library-qdrant",
}


def definition(kind: names.Kind) -> dict[str, Any]:
    """As the Prometheus Operator brings it, but without a schema of its own."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    described = {
        "kind": kind.name,
        "plural": kind.plural,
        "singular": kind.name.lower(),
        "listKind": f"{kind.name}List",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": described, "versions": [version]},
    }


@pytest.fixture(scope="module")
def prometheus(api_server: Cluster) -> Iterator[None]:
    """A cluster that has the Prometheus Operator's kinds, for this module alone."""
    definitions = yaml.safe_dump_all([definition(kind) for kind in names.OPTIONAL])
    api_server.kubectl("apply", "-f", "-", input=definitions)
    for kind in names.OPTIONAL:
        wait_established(api_server, f"{kind.plural}.{kind.group}")
    yield
    api_server.kubectl("delete", "-f", "-", input=definitions)


@pytest.fixture(scope="module")
def library(served: Served, prometheus: None, operator: Operator) -> str:
    """The full example, with the Secrets that it names."""
    for name, keys in (("gemini", ("api-key",)), ("library-internal-tls", ("tls.crt", "tls.key"))):
        served.kubectl("create", "secret", "generic", name, *(f"--from-literal={key}=x" for key in keys))
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    served.apply({**priority, "metadata": {"name": FULL["spec"]["podTemplate"]["priorityClassName"]}})
    served.apply({**FULL, "metadata": {"name": "library", "namespace": served.namespace}})
    wait_until(lambda: found(served, "library").keys() >= MADE, what="the children of the full example")
    return "library"


def found(served: Served, pipeline: str) -> dict[str, dict[str, Any]]:
    return {f"{body['kind']} {body['metadata']['name']}": body for body in served.owned(ALL_KINDS, pipeline)}


def versions(served: Served, pipeline: str) -> dict[str, str]:
    return {name: body["metadata"]["resourceVersion"] for name, body in found(served, pipeline).items()}


def test_the_full_example_makes_every_kind_of_child(served: Served, library: str) -> None:
    assert found(served, library).keys() == MADE


def test_its_columns_are_the_promised_ones(served: Served, library: str) -> None:
    shown = served.kubectl("get", "rp", library).splitlines()[0].split()
    assert shown == ["NAME", "READY", "STATUS", "URL", "POINTS", "MODEL", "LAST-BACKUP", "AGE"]
    wide = served.kubectl("get", "rp", library, "-o", "wide").splitlines()[0].split()
    assert {"IMAGE", "REPLICAS", "INDEX", "REASON"} <= set(wide)


def test_an_operator_that_starts_anew_applies_everything_and_changes_nothing(
    served: Served, library: str, operator: Operator
) -> None:
    """It remembers nothing of what it sent, so it sends it all; the controllers' own writes are over by then."""

    def settled() -> bool:
        before = versions(served, library)
        leads = [line["event"] for line in operator.said()].count("leading")
        operator.kill()
        operator.start()
        wait_until(lambda: [line["event"] for line in operator.said()].count("leading") > leads)
        served.kubectl("annotate", "ragpipeline", library, f"example.com/visit={leads}", "--overwrite")
        served.wait_for(library, "Ready", "False", "Progressing")
        return versions(served, library) == before

    wait_until(settled, seconds=120, what="a start that changes nothing")


def test_pods_of_the_full_example_are_let_in_by_the_restricted_standard(served: Served, library: str) -> None:
    """The namespace enforces it, so that a pod which breaks it would never have been made."""
    for component, least in (("qdrant", 3), ("runtime", 1)):
        pods = wait_until(lambda component=component: served.pods(library, component), what=f"{component} pods")
        assert len(pods) >= least
        assert {pod["spec"]["automountServiceAccountToken"] for pod in pods} == {False}


def replicas_owners(served: Served, name: str) -> set[str]:
    text = served.kubectl("get", "deployment", name, "-o", "json", "--show-managed-fields")
    entries = json.loads(text)["metadata"]["managedFields"]
    return {each["manager"] for each in entries if "f:replicas" in each["fieldsV1"].get("f:spec", {})}


def replicas(served: Served, kind: str, name: str) -> int:
    body = served.get(kind, name)
    assert body
    return int(body["spec"]["replicas"])


def test_an_autoscaler_takes_over_the_pods_that_there_are(served: Served, operator: Operator) -> None:
    served.pipeline("busy", replicas=3)
    wait_until(lambda: served.get("deployment", "busy"))
    served.pipeline("busy", autoscaling={"minReplicas": 2, "maxReplicas": 10})
    wait_until(lambda: served.get("hpa", "busy"))
    wait_until(lambda: "rag-operator" not in replicas_owners(served, "busy"))
    assert replicas(served, "deployment", "busy") == 3
    served.kubectl("scale", "deployment", "busy", "--replicas=5")
    served.kubectl("annotate", "ragpipeline", "busy", "example.com/visit=1")
    served.kubectl("delete", "configmap", "busy")
    wait_until(lambda: served.get("configmap", "busy"), what="a visit")
    assert replicas(served, "deployment", "busy") == 5


def test_a_pipeline_with_an_autoscaler_is_not_scaled_by_hand(served: Served, operator: Operator) -> None:
    message = served.kubectl("scale", "ragpipeline", "busy", "--replicas=4", check=False)
    assert replicas(served, "deployment", "busy") == 5
    assert message == ""


def test_what_the_spec_no_longer_wants_goes(served: Served, operator: Operator) -> None:
    served.pipeline("busy", replicas=2, ingress={"host": "busy.example"})
    wait_until(lambda: served.get("ingress", "busy"))
    wait_until(lambda: served.get("hpa", "busy") is None and replicas(served, "deployment", "busy") == 2)
    assert served.get("pdb", "busy")
    served.pipeline("busy", monitoring={"serviceMonitor": False, "dashboard": False})
    for kind, name in (("ingress", "busy"), ("pdb", "busy"), ("servicemonitor", "busy"), ("cm", "busy-dashboard")):
        wait_until(lambda kind=kind, name=name: served.get(kind, name) is None, what=f"no {kind} {name}")
    assert served.get("prometheusrule", "busy")


def test_suspended_it_has_no_pods_and_keeps_its_data(served: Served, operator: Operator) -> None:
    served.pipeline("sleepy", autoscaling={"minReplicas": 2, "maxReplicas": 3})
    wait_until(lambda: served.owned("persistentvolumeclaims", "sleepy"))
    served.pipeline("sleepy", autoscaling={"minReplicas": 2, "maxReplicas": 3}, suspend=True)
    wait_until(
        lambda: replicas(served, "deployment", "sleepy") == replicas(served, "statefulset", "sleepy-qdrant") == 0
    )
    wait_until(lambda: served.get("hpa", "sleepy") is None)
    assert served.owned("persistentvolumeclaims", "sleepy")
    served.pipeline("sleepy", autoscaling={"minReplicas": 2, "maxReplicas": 3})
    wait_until(lambda: replicas(served, "deployment", "sleepy") == 2)
    assert replicas(served, "statefulset", "sleepy-qdrant") == 1
    assert "rag-operator" not in replicas_owners(served, "sleepy")


BACKEND = {"name": "x", "port": {"number": 1}}
FOREIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "serviceaccount": ("v1", {}),
    "networkpolicy": ("networking.k8s.io/v1", {"spec": {"podSelector": {}}}),
    "ingress": (
        "networking.k8s.io/v1",
        {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}}},
    ),
    "poddisruptionbudget": ("policy/v1", {"spec": {"maxUnavailable": 1, "selector": {}}}),
    "horizontalpodautoscaler": (
        "autoscaling/v2",
        {
            "spec": {
                "maxReplicas": 2,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"},
            }
        },
    ),
}
NAMES_OF_KINDS = {kind.name.lower(): kind.name for kind in names.CHILDREN}


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_object_of_somebody_else_is_not_taken_over(served: Served, operator: Operator, kind: str) -> None:
    name = f"their-{kind[:12]}"
    version, parts = FOREIGN[kind]
    meta = {"name": name, "namespace": served.namespace}
    served.apply({"apiVersion": version, "kind": NAMES_OF_KINDS[kind], "metadata": meta, **parts})
    served.pipeline(name, autoscaling={}, ingress={"host": "their.example"})
    served.wait_for(name, "Ready", "False", "NameConflict")
    assert f"kubectl delete {kind} {name}" in served.message(name)
    assert found(served, name) == {}
    left = served.get(kind, name)
    assert left
    assert "ownerReferences" not in left["metadata"]


def test_a_certificate_that_is_not_there_is_named(served: Served, operator: Operator) -> None:
    served.pipeline("bare", access={"tls": {"secretRef": {"name": "no-such-cert"}}})
    served.wait_for("bare", "SecretsResolved", "False", "SecretNotFound")
    assert "spec.access.tls.secretRef" in served.message("bare", "SecretsResolved")
    served.kubectl(
        "create", "secret", "generic", "no-such-cert", "--from-literal=tls.crt=x", "--from-literal=tls.key=x"
    )
    served.wait_for("bare", "SecretsResolved", "True", "Reconciled")


def test_a_server_becomes_three_that_know_each_other(served: Served, operator: Operator) -> None:
    """Nothing is replaced on the way: a StatefulSet's Service, which names its pods, is the same before and after."""
    served.pipeline("growing")
    before = wait_until(lambda: served.get("statefulset", "growing-qdrant"))
    served.pipeline("growing", vectorStore={"managed": {"replicas": 3}})
    wait_until(lambda: len(served.pods("growing", "qdrant")) == 3)
    after = served.get("statefulset", "growing-qdrant")
    assert after
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert served.get("pdb", "growing-qdrant")


def test_what_servers_are_started_with_is_a_shell_script(served: Served, operator: Operator) -> None:
    (container,) = (served.get("statefulset", "growing-qdrant") or {})["spec"]["template"]["spec"]["containers"]
    shell, flag, script = container["command"]
    told = script.replace("exec ./entrypoint.sh", "exec echo")
    domain = f"growing-qdrant-headless.{served.namespace}.svc:6335"
    for number, words in (
        (0, f"--uri http://growing-qdrant-0.{domain}"),
        (2, f"--bootstrap http://growing-qdrant-0.{domain} --uri http://growing-qdrant-2.{domain}"),
    ):
        environ = {"HOSTNAME": f"growing-qdrant-{number}"}
        done = subprocess.run([shell, flag, told], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == words


def test_the_operator_never_had_a_defect(served: Served, operator: Operator) -> None:
    assert [line for line in operator.said() if line["level"] == "error"] == []
