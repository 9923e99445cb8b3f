"""What should exist: whole manifests against golden files, and the rules that hold for all of them."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_operator import desired, names
from rag_operator.crd import Plain
from rag_operator.state import ClaimState, Observed, Problem, Reason, Workload
from tests import builders
from tests.builders import EMBEDDED, EXTERNAL, GEMINI, MANAGED

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES: dict[str, dict[str, Any]] = {
    "managed": MANAGED,
    "external": {
        **EXTERNAL,
        **GEMINI,
        "replicas": 3,
        "service": {"type": "LoadBalancer", "port": 8080},
        "probes": {"readiness": {"initialDelaySeconds": 1, "periodSeconds": 2}},
        "access": {"apiKeyRequired": False, "corsOrigins": ["https://a.example", "https://b.example"]},
    },
    "embedded": {"vectorStore": {"embedded": {}, "collection": "papers", "adopt": True}, "deletionPolicy": "Delete"},
    "full": yaml.safe_load((ROOT / "examples/full.yaml").read_text())["spec"],
    "suspended": {"suspend": True, "autoscaling": {}},
}
SERVED = frozenset(names.OPTIONAL)


def plan(**fields: Any) -> desired.Plan:
    return desired.build(builders.app(**fields), replace(builders.inputs(), served=SERVED))


def plain(**fields: Any) -> set[str]:
    """Of a cluster without the Prometheus Operator: the kinds that are made."""
    return {body["kind"] for body in desired.build(builders.app(**fields), builders.inputs()).children}


def objects(**fields: Any) -> dict[tuple[str, str], dict[str, Any]]:
    built = plan(**fields)
    return {(body["kind"], body["metadata"]["name"]): body for body in (*built.secrets, *built.children)}


def pod_specs(**fields: Any) -> list[dict[str, Any]]:
    return [
        body["spec"]["template"]["spec"] for body in objects(**fields).values() if "template" in body.get("spec", {})
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_manifests_are_the_golden_ones(shape: str) -> None:
    """When a change is meant: UPDATE_GOLDEN=1, and read the difference."""
    built = plan(**SHAPES[shape])
    text = yaml.dump_all([*built.secrets, *built.children], Dumper=Plain, sort_keys=False, width=120)
    path = GOLDEN / f"{shape}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("shape", SHAPES)
def test_every_pod_passes_the_restricted_standard(shape: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    for pod in pod_specs(**SHAPES[shape]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] in ("handbook", "handbook-qdrant")
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize("shape", SHAPES)
def test_every_object_is_labelled_and_owned_but_data_that_is_to_stay(shape: str) -> None:
    for body in objects(**SHAPES[shape]).values():
        assert body["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.MANAGED_BY
        assert [owner["uid"] for owner in body["metadata"]["ownerReferences"]] == ["uid-of-handbook"]
    claim = objects(**EMBEDDED)["PersistentVolumeClaim", "handbook-data"]
    assert claim["metadata"]["ownerReferences"] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_secrets_stand_in_secrets_only(shape: str) -> None:
    """Not even encoded or hashed without salt in any other object."""
    built = plan(**SHAPES[shape])
    text = yaml.safe_dump_all(built.children)
    assert not [key for key in builders.KEYS.values.values() if key in text]


def test_the_probes_are_the_promised_ones() -> None:
    container = objects()["Deployment", "handbook"]["spec"]["template"]["spec"]["containers"][0]

    def numbers(probe: str) -> tuple[str, int, int, int, int]:
        it = container[f"{probe}Probe"]
        return (
            it["httpGet"]["path"],
            it["initialDelaySeconds"],
            it["periodSeconds"],
            it["timeoutSeconds"],
            it["failureThreshold"],
        )

    assert numbers("liveness") == ("/livez", 60, 30, 10, 3)
    assert numbers("readiness") == ("/ready", 30, 10, 5, 3)
    assert container["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"cpu": "2", "memory": "4Gi"},
    }


def test_one_writer_is_never_two() -> None:
    strategy = objects(**EMBEDDED)["Deployment", "handbook"]["spec"]["strategy"]
    assert strategy == {"type": "Recreate"}


def test_a_pipeline_without_a_server_of_ours_has_no_stateful_set() -> None:
    for fields in (EXTERNAL, EMBEDDED):
        assert "StatefulSet" not in {kind for kind, _ in objects(**fields)}


def test_what_no_cluster_needs_to_have_is_made_only_where_its_kind_is() -> None:
    assert plain() >= {"ServiceAccount", "NetworkPolicy"}
    assert not plain(**SHAPES["full"]) & {"ServiceMonitor", "PrometheusRule"}
    assert ("ConfigMap", "handbook-dashboard") in objects()
    names_ = {body["metadata"]["name"] for body in desired.build(builders.app(), builders.inputs()).children}
    assert "handbook-dashboard" not in names_


def test_a_missing_secret_holds_the_runtime_back_but_keeps_it_wanted() -> None:
    problem = Problem(Reason.SECRET_NOT_FOUND, "no such Secret")
    built = desired.build(builders.app(**GEMINI), builders.inputs(problem))
    deployment = names.Ref(names.DEPLOYMENT, "team", "handbook")
    assert deployment not in {names.ref_of(body) for body in built.children}
    assert deployment in built.wanted


def config_hash_of(kind: str, name: str, built: desired.Plan) -> str:
    (body,) = (body for body in built.children if (body["kind"], body["metadata"]["name"]) == (kind, name))
    return str(body["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_CONFIG_HASH])


@pytest.mark.parametrize(
    ("fields", "secrets", "keys", "rolls"),
    [
        pytest.param({}, {}, {}, False, id="nothing"),
        pytest.param({"logging": {"level": "DEBUG"}}, {}, {}, True, id="a setting"),
        pytest.param({}, {"gemini": "other"}, {}, True, id="a referenced Secret"),
        pytest.param({}, {}, {"qdrant": "other"}, True, id="the store's key"),
        pytest.param({}, {}, {"admin": "other", "client": "other"}, False, id="API keys, which are re-read"),
        pytest.param({"replicas": 5}, {}, {}, False, id="the number of pods"),
    ],
)
def test_pods_are_replaced_by_a_change_that_they_cannot_see_themselves(
    fields: dict[str, Any], secrets: dict[str, str], keys: dict[str, str], rolls: bool
) -> None:
    before = desired.build(builders.app(), builders.inputs())
    changed = replace(
        builders.inputs(secrets=secrets), keys=replace(builders.KEYS, values={**builders.KEYS.values, **keys})
    )
    after = desired.build(builders.app(**fields), changed)
    differs = config_hash_of("Deployment", "handbook", before) != config_hash_of("Deployment", "handbook", after)
    assert differs is rolls


def test_the_keys_file_has_a_line_for_each_key() -> None:
    data = objects()["Secret", "handbook-keys"]["data"]
    lines = ("admin admin admin-key", "client query,ingest client-key", "operator query operator-key")
    assert base64.b64decode(data["api-keys"]).decode().splitlines() == list(lines)
    binding = {
        name: base64.b64decode(value).decode() for name, value in objects()["Secret", "handbook-client"]["data"].items()
    }
    assert binding == {"type": "rag", "provider": "ragops", "url": "http://handbook.team.svc", "api-key": "client-key"}


GROWN = builders.app(vectorStore={"managed": {"storage": {"size": "2Gi"}}})
CLAIM = "qdrant-storage-handbook-qdrant-0"


def test_a_stateful_set_keeps_the_template_that_nobody_may_change() -> None:
    seen = Observed(qdrant=Workload(wanted=1, settled=True, claim_size="1Gi"))
    built = desired.build(GROWN, builders.inputs(), seen)
    (stateful_set,) = (body for body in built.children if body["kind"] == "StatefulSet")
    (template,) = stateful_set["spec"]["volumeClaimTemplates"]
    assert template["spec"]["resources"]["requests"]["storage"] == "1Gi"


@pytest.mark.parametrize(
    ("name", "size", "bound", "grown"),
    [
        (CLAIM, "1Gi", True, True),
        (CLAIM, "1Gi", False, False),
        (CLAIM, "2048Mi", True, False),
        (CLAIM, "4Gi", True, False),
        ("qdrant-storage-handbook-qdrant-1", "1Gi", True, False),
    ],
)
def test_a_claim_that_is_too_small_is_told_to_grow(name: str, size: str, bound: bool, grown: bool) -> None:
    seen = Observed(claims={name: ClaimState("qdrant", bound=bound, storage_class="fast", size=size)})
    found = desired.build(GROWN, builders.inputs(), seen).grown
    assert [claim["spec"]["resources"]["requests"] for claim in found] == ([{"storage": "2Gi"}] if grown else [])
