"""The chart grants exactly what the operator uses, starts it with what it reads, and carries the CRD of the models."""

from __future__ import annotations

import argparse
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_operator import crd, kube, settings
from rag_operator.desired import network
from tests import builders
from tests.cluster import binaries, versions

CHART = Path(__file__).resolve().parents[2] / "charts/ragops"
KUBERNETES = versions.by_name("kube-apiserver").version
Object = dict[str, Any]


@pytest.fixture(scope="session")
def helm() -> Path:
    return binaries.ensure_binaries(versions.CLIENTS) / "helm"


@pytest.fixture
def render(helm: Path) -> Any:
    """The chart's objects, with values set as on a command line."""

    def run(*values: str) -> list[Object]:
        settings_ = [part for value in values for part in ("--set", value)]
        command = [helm, "template", "ragops", CHART, "--namespace", "rag", "--kube-version", KUBERNETES, *settings_]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(done.stderr)
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return run


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def granted(role: Object) -> dict[tuple[str, str], frozenset[str]]:
    verbs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                verbs[group, resource] |= set(rule["verbs"])
    return {key: frozenset(value) for key, value in verbs.items()}


def operator(objects: list[Object]) -> Object:
    container: Object = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    return container


def test_lint_is_content(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_namespaced_it_grants_what_the_operator_uses_and_no_cluster_role(render: Any) -> None:
    objects = render("watchNamespaces={one,two}")
    roles = {(role["metadata"]["namespace"], role["metadata"]["name"]): role for role in of_kind(objects, "Role")}
    assert granted(roles["one", "ragops"]) == granted(roles["two", "ragops"]) == kube.PERMISSIONS
    assert granted(roles["rag", "ragops-lease"]) == kube.LEASE_PERMISSIONS
    assert of_kind(objects, "ClusterRole") == []


def test_cluster_wide_it_grants_the_same_everywhere(render: Any) -> None:
    objects = render("clusterWide=true")
    assert [granted(role) for role in of_kind(objects, "ClusterRole")] == [kube.PERMISSIONS]
    assert [role["metadata"]["name"] for role in of_kind(objects, "Role")] == ["ragops-lease"]
    assert "--all-namespaces" in operator(objects)["args"]


def test_each_role_is_bound_to_the_operators_own_account(render: Any) -> None:
    objects = render()
    account = of_kind(objects, "ServiceAccount")[0]["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    assert [binding["subjects"] for binding in of_kind(objects, "RoleBinding")] == [[subject], [subject]]


def test_the_operator_reads_what_it_is_started_with(render: Any) -> None:
    container = operator(render("watchNamespaces={one,two}", "runtime.image.repository=r", "runtime.image.tag=v1"))
    environment = {variable["name"]: variable.get("value", "pod") for variable in container["env"]}
    flags: argparse.Namespace = settings.parse(container["args"])
    chosen = settings.load(environment, flags)
    assert chosen.namespaces == ("one", "two")
    assert (chosen.lease_namespace, chosen.lease_name) == ("rag", "ragops")
    assert (chosen.runtime_image, chosen.pod_name) == ("r:v1", "pod")
    assert {name.lower() for name in environment} <= set(settings.Settings.model_fields)
    assert container["ports"][0]["containerPort"] == chosen.health_port


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ((), "ragops/rag-operator:0.1.0"),
        (("image.tag=v2",), "ragops/rag-operator:v2"),
        (("image.digest=sha256:" + "a" * 64, "image.tag=v2"), "ragops/rag-operator@sha256:" + "a" * 64),
    ],
)
def test_the_image_is_the_release_a_tag_or_a_digest(render: Any, values: tuple[str, ...], image: str) -> None:
    assert operator(render(*values))["image"] == image


def test_it_brings_the_crd_that_the_models_make(render: Any) -> None:
    (brought,) = of_kind(render(), "CustomResourceDefinition")
    del brought["metadata"]["annotations"]
    assert brought == yaml.safe_load(crd.build_yaml())
    assert of_kind(render("crds.create=false"), "CustomResourceDefinition") == []


def test_uninstalling_leaves_the_crd_and_with_it_every_pipeline(render: Any) -> None:
    (brought,) = of_kind(render(), "CustomResourceDefinition")
    assert brought["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_added_labels_and_annotations_break_neither_the_selector_nor_the_yaml(render: Any) -> None:
    """A key that stands twice is an error to some readers and the last one's to others."""
    (found,) = of_kind(
        render(
            r"podLabels.app\.kubernetes\.io/name=x", "podLabels.team=search", r"podAnnotations.prometheus\.io/scrape=no"
        ),
        "Deployment",
    )
    template = found["spec"]["template"]["metadata"]
    assert template["labels"].items() >= {**found["spec"]["selector"]["matchLabels"], "team": "search"}.items()
    assert template["annotations"] == {"prometheus.io/scrape": "no", "prometheus.io/port": "8080"}


@pytest.mark.parametrize(("replicas", "spare"), [(1, 0), (2, 1)])
def test_waiting_for_the_release_waits_for_an_operator(render: Any, replicas: int, spare: int) -> None:
    """Helm counts a Deployment as ready when all but maxUnavailable of its pods are."""
    strategy = of_kind(render(f"replicaCount={replicas}"), "Deployment")[0]["spec"]["strategy"]
    assert strategy.get("rollingUpdate", {}).get("maxUnavailable", 0) == spare < replicas


def test_the_operators_pods_are_those_that_a_pipelines_network_policy_lets_in(render: Any) -> None:
    labels = of_kind(render(), "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    app = builders.app(access={"allowedFrom": [{"namespace": "shop"}]})
    policy = next(network.build_policies(app))
    wanted = [
        peer["podSelector"]["matchLabels"] for peer in policy["spec"]["ingress"][0]["from"] if "podSelector" in peer
    ]
    assert [match for match in wanted if match.items() <= labels.items()]


def test_the_user_is_left_to_the_image_or_the_platform(render: Any) -> None:
    context = of_kind(render(), "Deployment")[0]["spec"]["template"]["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert "runAsUser" not in context


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("replicas=3", "replicas"),
        ("replicaCount=0", "replicaCount"),
        ("image.digest=latest", "digest"),
        ("watchNamespaces={A B}", "watchNamespaces"),
        ("watchNamespaces={one\\,two}", "watchNamespaces"),
        ("clusterWide=true,watchNamespaces={one}", "watchNamespaces"),
        ("fullnameOverride=Rag_Ops", "fullnameOverride"),
        ("serviceAccount.create=false", "serviceAccount/name"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_name(render: Any, value: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        render(value)
