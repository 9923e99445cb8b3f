"""The CRD on a real API server: what it fills in, what it refuses, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_operator import spec
from tests.builders import RELEASE
from tests.cluster import Cluster
from tests.cluster.errors import ClusterError

pytestmark = pytest.mark.api
EXAMPLES = Path(__file__).parents[2] / "examples"


def manifest(name: str = "p", **fields: Any) -> str:
    meta = {"name": name, "namespace": "default"}
    return yaml.safe_dump(
        {"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "metadata": meta, "spec": fields}
    )


def applied(server: Cluster, name: str = "p", **fields: Any) -> dict[str, Any]:
    server.kubectl("delete", "ragpipeline", name, "--ignore-not-found")
    return dict(json.loads(server.kubectl("apply", "-o", "json", "-f", "-", input=manifest(name, **fields))))


def refused(server: Cluster, name: str = "p", **fields: Any) -> str:
    with pytest.raises(ClusterError) as failure:
        server.kubectl("apply", "--dry-run=server", "-f", "-", input=manifest(name, **fields))
    return str(failure.value)


@pytest.mark.parametrize("fields", [{}, {"vectorStore": {"embedded": {}}}, {"resources": {"limits": {"cpu": 1}}}])
def test_what_the_server_fills_in_loads_to_what_was_meant(api_server: Cluster, fields: dict[str, Any]) -> None:
    stored = applied(api_server, **fields)
    bare = {**stored, "spec": fields}
    assert spec.load(stored, RELEASE) == spec.load(bare, RELEASE)


def test_an_empty_spec_gets_the_defaults(api_server: Cluster) -> None:
    stored = applied(api_server)["spec"]
    assert stored["chunking"]["csv"] == {"tokens": 150, "maxTokens": 250}
    assert stored["access"]["apiKeyRequired"] is True
    assert stored["deletionPolicy"] == "Retain"
    assert "replicas" not in stored


def test_unknown_fields_are_dropped(api_server: Cluster) -> None:
    api_server.kubectl("apply", "--validate=ignore", "-f", "-", input=manifest("loose", nonsense=1))
    stored = json.loads(api_server.kubectl("get", "ragpipeline", "loose", "-o", "json"))
    assert "nonsense" not in stored["spec"]


SECRET = {"name": "s", "key": "k"}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "two stores": ({"vectorStore": {"managed": {}, "embedded": {}}}, "spec.vectorStore", "exclude each other"),
    "three stores": (
        {"vectorStore": {"managed": {}, "embedded": {}, "external": {"url": "http://q:6333"}}},
        "spec.vectorStore",
        "exclude each other",
    ),
    "no url": ({"vectorStore": {"external": {}}}, "spec.vectorStore.external.url", "Required"),
    "another scheme": (
        {"vectorStore": {"external": {"url": "ftp://q:6333"}}},
        "spec.vectorStore.external.url",
        'ftp://q:6333" is not an address',
    ),
    "no scheme": ({"vectorStore": {"external": {"url": "q:6333"}}}, "spec.vectorStore.external.url", "http(s)://HOST"),
    "a password in the url": (
        {"vectorStore": {"external": {"url": "http://a:b@q:6333"}}},
        "spec.vectorStore.external.url",
        "apiKeySecretRef",
    ),
    "copies without servers": (
        {"vectorStore": {"managed": {"replicas": 2, "replicationFactor": 3}}},
        "spec.vectorStore.managed.replicationFactor",
        "replicationFactor 3 is above replicas 2",
    ),
    "more copies written than there are": (
        {"vectorStore": {"managed": {"replicas": 3, "writeConsistencyFactor": 3}}},
        "spec.vectorStore.managed.writeConsistencyFactor",
        "writeConsistencyFactor 3 is above the number of copies",
    ),
    "a graph built with too few neighbours": (
        {"vectorStore": {"managed": {"tuning": {"hnswM": 64, "hnswEfConstruct": 32}}}},
        "spec.vectorStore.managed.tuning.hnswEfConstruct",
        "hnswEfConstruct 32 is below hnswM 64",
    ),
    "a quantization that is none": (
        {"vectorStore": {"managed": {"tuning": {"quantization": "int4"}}}},
        "spec.vectorStore.managed.tuning.quantization",
        "scalar",
    ),
    "replicas and autoscaling": (
        {"replicas": 3, "autoscaling": {}},
        "spec.replicas",
        "replicas 3 and autoscaling exclude each other",
    ),
    "fewest above most": (
        {"autoscaling": {"minReplicas": 5, "maxReplicas": 3}},
        "spec.autoscaling.minReplicas",
        "minReplicas 5 is above maxReplicas 3",
    ),
    "a scaled store for one writer": (
        {"autoscaling": {}, "vectorStore": {"embedded": {}}},
        "spec.autoscaling",
        "leave autoscaling out",
    ),
    "a load that is none": (
        {"autoscaling": {"targetCPUUtilizationPercentage": 0}},
        "spec.autoscaling.targetCPUUtilizationPercentage",
        "greater than or equal to 1",
    ),
    "callers from outside, limited to pods": (
        {"service": {"type": "LoadBalancer"}, "access": {"allowedFrom": [{"namespace": "shop"}]}},
        "spec.access.allowedFrom",
        "set service.type to ClusterIP",
    ),
    "TLS without a Secret": ({"access": {"tls": {}}}, "spec.access.tls.secretRef", "Required"),
    "a caller's label that is none": (
        {"access": {"allowedFrom": [{"podLabels": {"app": "a b"}}]}},
        "spec.access.allowedFrom[0].podLabels.app",
        "should match",
    ),
    "an Ingress to nowhere": ({"ingress": {}}, "spec.ingress.host", "Required"),
    "a host that is an address": ({"ingress": {"host": "https://x.example"}}, "spec.ingress.host", "should match"),
    "a variable of the operator's": (
        {"podTemplate": {"extraEnv": [{"name": "QDRANT_URL", "value": "http://elsewhere"}]}},
        "spec.podTemplate.extraEnv[0].name",
        "name QDRANT_URL is set by the operator",
    ),
    "a server's variable of the operator's": (
        {"vectorStore": {"managed": {"podTemplate": {"extraEnv": [{"name": "QDRANT__SERVICE__API_KEY"}]}}}},
        "spec.vectorStore.managed.podTemplate.extraEnv[0].name",
        "is set by the operator",
    ),
    "a variable with two values": (
        {"podTemplate": {"extraEnv": [{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": SECRET}}]}},
        "spec.podTemplate.extraEnv[0]",
        "keep value or valueFrom",
    ),
    "a variable from two places": (
        {
            "podTemplate": {
                "extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": SECRET, "configMapKeyRef": SECRET}}]
            }
        },
        "spec.podTemplate.extraEnv[0].valueFrom",
        "keep secretKeyRef or configMapKeyRef",
    ),
    "a variable twice": (
        {"podTemplate": {"extraEnv": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]}},
        "spec.podTemplate.extraEnv[1]",
        "Duplicate value",
    ),
    "a label of the operator's": (
        {"podTemplate": {"labels": {"app.kubernetes.io/instance": "other"}}},
        "spec.podTemplate.labels",
        "choose another key",
    ),
    "an annotation that loosens the pods": (
        {"podTemplate": {"annotations": {"container.apparmor.security.beta.kubernetes.io/runtime": "unconfined"}}},
        "spec.podTemplate.annotations",
        "would loosen",
    ),
    "a security context": (
        {"podTemplate": {"securityContext": {}}},
        "spec.podTemplate.securityContext",
        "unknown field",
    ),
    "no cache time": ({"retrieval": {"cache": {"ttlSeconds": 0}}}, "spec.retrieval.cache.ttlSeconds", "to 1"),
    "too many hits": (
        {"retrieval": {"summaryMaxTopK": 101}},
        "spec.retrieval.summaryMaxTopK",
        "less than or equal to 100",
    ),
    "an answer of a word": ({"generation": {"detailedMaxWords": 1}}, "spec.generation.detailedMaxWords", "to 10"),
    "a size of words": (
        {"vectorStore": {"managed": {"storage": {"size": "big"}}}},
        "spec.vectorStore.managed.storage.size",
        '"big" is not a quantity',
    ),
    "a negative size": (
        {"vectorStore": {"embedded": {"storage": {"size": "-1Gi"}}}},
        "spec.vectorStore.embedded.storage.size",
        "above 0",
    ),
    "no replicas": ({"replicas": 0}, "spec.replicas", "greater than or equal to 1"),
    "replicas in words": ({"replicas": "three"}, "spec.replicas", "integer"),
    "two writers": (
        {"replicas": 2, "vectorStore": {"embedded": {}}},
        "spec.replicas",
        "replicas 2: an embedded store has one writer",
    ),
    "a request above its limit": (
        {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}},
        "spec.resources",
        "a request is above its limit",
    ),
    "a request in words": ({"resources": {"requests": {"cpu": "lots"}}}, "spec.resources.requests", "500m, 2 or 4Gi"),
    "chunks above the maximum": (
        {"chunking": {"pdf": {"tokens": 300}}},
        "spec.chunking.pdf.tokens",
        "tokens 300 is above maxTokens 250",
    ),
    "chunks of nothing": (
        {"chunking": {"csv": {"tokens": 0}}},
        "spec.chunking.csv.tokens",
        "greater than or equal to 32",
    ),
    "no batch": ({"ingest": {"batchSize": 0}}, "spec.ingest.batchSize", "greater than or equal to 1"),
    "a provider that nobody knows": ({"generation": {"provider": "oracle"}}, "spec.generation.provider", "gemini"),
    "gemini without a key": ({"generation": {"provider": "gemini"}}, "spec.generation.provider", "apiKeySecretRef"),
    "a reference without a key": (
        {"generation": {"apiKeySecretRef": {"name": "gemini"}}},
        "spec.generation.apiKeySecretRef.key",
        "Required",
    ),
    "a reference elsewhere": (
        {"generation": {"apiKeySecretRef": {"name": "../other/secret", "key": "k"}}},
        "spec.generation.apiKeySecretRef.name",
        "should match",
    ),
    "an origin that is none": (
        {"access": {"corsOrigins": ["example.com"]}},
        "spec.access.corsOrigins[0]",
        "should match",
    ),
    "two origins in one": (
        {"access": {"corsOrigins": ["https://a.example,b"]}},
        "spec.access.corsOrigins[0]",
        "should match",
    ),
    "a size of nothing": (
        {"vectorStore": {"managed": {"storage": {"size": "0"}}}},
        "spec.vectorStore.managed.storage.size",
        '"0" is not a quantity above 0',
    ),
    "a size with a blank": (
        {"vectorStore": {"managed": {"storage": {"size": "1Gi "}}}},
        "spec.vectorStore.managed.storage.size",
        '"1Gi " is not a quantity',
    ),
    "a service that is none": ({"service": {"type": "NodePort"}}, "spec.service.type", "LoadBalancer"),
    "a port that is none": ({"service": {"port": 70000}}, "spec.service.port", "65535"),
    "a level that is none": ({"logging": {"level": "LOUD"}}, "spec.logging.level", "WARNING"),
    "a policy that is none": ({"deletionPolicy": "Maybe"}, "spec.deletionPolicy", "Retain"),
    "a collection of blanks": (
        {"vectorStore": {"collection": "my papers"}},
        "spec.vectorStore.collection",
        "should match",
    ),
    "a score beyond the scale": (
        {"retrieval": {"scoreFloor": 2}},
        "spec.retrieval.scoreFloor",
        "less than or equal to 1",
    ),
    "a field that is none": ({"replica": 2}, "spec.replica", "unknown field"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_is_refused_by_the_name_of_its_field(api_server: Cluster, case: str) -> None:
    fields, path, words = BAD[case]
    message = refused(api_server, **fields)
    assert path in message
    assert words in message


@pytest.mark.parametrize("name", ["9lives", "a" * 41, "dotted.name"])
def test_a_name_that_children_could_not_bear_is_refused(api_server: Cluster, name: str) -> None:
    message = refused(api_server, name)
    assert f'metadata.name "{name}" must be at most 40 characters' in message


def test_the_name_of_the_api_servers_service_is_refused(api_server: Cluster) -> None:
    assert "metadata.name kubernetes" in refused(api_server, "kubernetes")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"vectorStore": {"embedded": {}}}, "the kind of store cannot change"),
        ({"vectorStore": {"embedded": {}}}, {}, "the kind of store cannot change"),
        ({"vectorStore": {"collection": "a"}}, {"vectorStore": {"collection": "b"}}, "collection cannot change"),
        ({}, {"vectorStore": {"collection": "b"}}, "collection cannot change"),
        (
            {"vectorStore": {"managed": {"storage": {"size": "2Gi"}}}},
            {"vectorStore": {"managed": {"storage": {"size": "1Gi"}}}},
            "size cannot shrink from 2Gi to 1Gi",
        ),
        (
            {"vectorStore": {"managed": {"storage": {"storageClassName": "a"}}}},
            {"vectorStore": {"managed": {"storage": {"storageClassName": "b"}}}},
            "storageClassName cannot change",
        ),
        (
            {"vectorStore": {"managed": {"replicas": 3}}},
            {"vectorStore": {"managed": {"replicas": 2}}},
            "replicas cannot shrink from 3 to 2",
        ),
        ({"vectorStore": {"managed": {"replicas": 3}}}, {}, "keep managed.replicas"),
        ({"vectorStore": {"managed": {"storage": {"size": "80Gi"}}}}, {}, "one of 50Gi"),
        ({}, {"vectorStore": {"managed": {"storage": {"size": "10Gi"}}}}, "one of 50Gi"),
        ({"vectorStore": {"managed": {"storage": {"storageClassName": "a"}}}}, {}, "of the default class"),
    ],
)
def test_what_cannot_change_is_refused_with_what_to_do_instead(
    api_server: Cluster, before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    applied(api_server, "fixed", **before)
    message = refused(api_server, "fixed", **after)
    assert words in message
    assert "make a new pipeline" in message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"vectorStore": {"managed": {"storage": {"size": "60Gi"}}}}),
        ({"vectorStore": {"managed": {}}}, {}),
        ({}, {"vectorStore": {"managed": {"replicas": 3}}}),
        ({"vectorStore": {"collection": "a"}}, {"vectorStore": {"collection": "a", "adopt": True}}),
        ({"replicas": 3}, {"autoscaling": {}}),
        ({"autoscaling": {}}, {"suspend": True}),
    ],
)
def test_what_may_change_is_not_refused(api_server: Cluster, before: dict[str, Any], after: dict[str, Any]) -> None:
    applied(api_server, "growing", **before)
    api_server.kubectl("apply", "--dry-run=server", "-f", "-", input=manifest("growing", **after))


@pytest.mark.parametrize("example", ["quickstart.yaml", "full.yaml"])
def test_an_example_is_stored_as_it_is_written(api_server: Cluster, example: str) -> None:
    """Nothing in it is unknown, refused or pruned, down to an affinity, which has no schema."""
    written = yaml.safe_load((EXAMPLES / example).read_text())
    text = api_server.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", str(EXAMPLES / example)
    )
    assert holds(json.loads(text)["spec"], written["spec"])


def holds(stored: Any, written: Any) -> bool:
    """Whether all that was written is stored; defaults may stand beside it."""
    if isinstance(written, dict):
        return all(name in stored and holds(stored[name], value) for name, value in written.items())
    if isinstance(written, list):
        return len(stored) == len(written) and all(holds(*pair) for pair in zip(stored, written, strict=True))
    return bool(stored == written)


def test_it_scales_like_a_deployment(api_server: Cluster) -> None:
    applied(api_server, "scaled")
    api_server.kubectl("scale", "ragpipeline/scaled", "--replicas=3")
    assert api_server.kubectl("get", "rp", "scaled", "-o", "jsonpath={.spec.replicas}") == "3"


def test_explain_is_a_reference(api_server: Cluster) -> None:
    text = api_server.kubectl("explain", "rp.spec.vectorStore", "--recursive")
    assert "storageClassName" in text
    assert "The size that no chunk exceeds" in api_server.kubectl("explain", "rp.spec.chunking.csv.maxTokens")
