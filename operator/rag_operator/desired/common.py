"""What every builder needs: metadata with an owner, the restricted security contexts, environment and probes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag_operator import names
from rag_operator.spec import RagPipeline

Body = dict[str, Any]


def build_object(kind: names.Kind, app: RagPipeline, name: str, component: str, **parts: Any) -> Body:
    """An object that goes when its pipeline goes."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": app.namespace,
            "labels": names.labels(app.name, component),
            "ownerReferences": [build_owner(app)],
        },
        **parts,
    }


def template_annotations(app: RagPipeline, config_hash: str) -> dict[str, str]:
    """What replaces the pods when it changes: their configuration, or the wish of somebody."""
    restarted = {names.ANNOTATION_RESTARTED_AT: app.wishes.restarted_at} if app.wishes.restarted_at else {}
    return {names.ANNOTATION_CONFIG_HASH: config_hash, **restarted}


def build_owner(app: RagPipeline) -> Body:
    return {
        "apiVersion": names.PIPELINE.api_version,
        "kind": names.PIPELINE.name,
        "name": app.name,
        "uid": app.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_security(user: int) -> Body:
    """The `restricted` Pod Security Standard, for a pod whose volumes belong to its user."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Body:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def secret_variable(name: str, secret: str, key: str) -> Body:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def http_probe(path: str, *, delay: int, period: int, timeout: int, failures: int, tls: bool = False) -> Body:
    scheme = {"scheme": "HTTPS"} if tls else {}
    return {
        "httpGet": {"path": path, "port": "http", **scheme},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def claim_spec(size: str, storage_class: str | None) -> Body:
    chosen = {"storageClassName": storage_class} if storage_class else {}
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **chosen}


def resources_of(requests: Mapping[str, str], limits: Mapping[str, str]) -> Body:
    return {"requests": dict(requests), "limits": dict(limits)}
