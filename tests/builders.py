"""Valid values for tests: a pipeline as the API server stores it, loaded, and with its inputs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rag_operator import spec
from rag_operator.rotation import Keys
from rag_operator.spec import RagPipeline, Release
from rag_operator.state import Inputs, Problem

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RELEASE = Release(version="1.2.3", runtime_image="ragops/rag-runtime:1.2.3", qdrant_image="qdrant/qdrant:v1.18.0")
KEYS = Keys(
    {"admin": "admin-key", "client": "client-key", "operator": "operator-key", "qdrant": "qdrant-key"},
    client="client-key",
    probe="operator-key",
)

MANAGED: dict[str, Any] = {}
EXTERNAL: dict[str, Any] = {
    "vectorStore": {
        "external": {
            "url": "https://qdrant.example.com:6333",
            "apiKeySecretRef": {"name": "shared-qdrant", "key": "token"},
        }
    },
}
EMBEDDED: dict[str, Any] = {"vectorStore": {"embedded": {}}}
GEMINI: dict[str, Any] = {"generation": {"apiKeySecretRef": {"name": "gemini", "key": "api-key"}}}


def body(name: str = "handbook", namespace: str = "team", **fields: Any) -> dict[str, Any]:
    """A pipeline as it is read from the API server; keywords are fields of its spec."""
    return {
        "apiVersion": "ragops.dev/v1alpha1",
        "kind": "RagPipeline",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": "7",
        },
        "spec": fields,
    }


def app(name: str = "handbook", namespace: str = "team", **fields: Any) -> RagPipeline:
    return spec.load(body(name, namespace, **fields), RELEASE)


def inputs(problem: Problem | None = None, secrets: dict[str, str] | None = None) -> Inputs:
    """As read where the pipeline's own Secrets do not exist yet."""
    return Inputs(keys=KEYS, own={}, secrets=secrets or {}, problem=problem)
