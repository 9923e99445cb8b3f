"""The managed vector store: a StatefulSet of Qdrant with a volume, and its Service. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rag_operator import names, quantities
from rag_operator.desired.common import (
    Body,
    build_object,
    claim_spec,
    container_security,
    http_probe,
    pod_security,
    resources_of,
    secret_variable,
)
from rag_operator.spec import ManagedStore, RagPipeline
from rag_operator.state import Observed

# The user of Qdrant's own unprivileged image; its usual image runs as any user that may write to its folders.
USER = 1000
STORAGE, WRITABLE = "/qdrant/storage", "/qdrant/init"


def build_service(app: RagPipeline) -> Body:
    ports = [
        {"name": "http", "port": names.QDRANT_HTTP_PORT, "targetPort": "http"},
        {"name": "grpc", "port": names.QDRANT_GRPC_PORT, "targetPort": "grpc"},
    ]
    spec = {"type": "ClusterIP", "selector": names.selector(app.name, names.QDRANT), "ports": ports}
    return build_object(names.SERVICE, app, names.qdrant(app.name), names.QDRANT, spec=spec)


def build_stateful_set(app: RagPipeline, store: ManagedStore, config_hash: str, *, claimed: str | None = None) -> Body:
    """`claimed` is the size that a StatefulSet which exists was made with, and that it keeps."""
    name = names.qdrant(app.name)
    body = build_object(names.STATEFUL_SET, app, name, names.QDRANT)
    body["metadata"]["labels"] |= names.version_label(store.image or "")
    body["spec"] = {
        "serviceName": name,
        "replicas": app.store_replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": names.selector(app.name, names.QDRANT)},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": app.spec.deletion_policy, "whenScaled": "Retain"},
        "template": {
            "metadata": {
                "labels": names.labels(app.name, names.QDRANT),
                "annotations": {names.ANNOTATION_CONFIG_HASH: config_hash},
            },
            "spec": _pod(app, store),
        },
        "volumeClaimTemplates": [_claim_template(app, store, claimed or store.storage.size)],
    }
    return body


def build_grown_claims(app: RagPipeline, store: ManagedStore, seen: Observed) -> Iterator[Body]:
    """A StatefulSet leaves the claims that it made as they are: those that are too small are told to grow, which only
    a bound one can."""
    for name in (names.qdrant_claim(app.name, number) for number in range(store.replicas)):
        claim = seen.claims.get(name)
        if claim and claim.bound and quantities.parse(claim.size) < quantities.parse(store.storage.size):
            yield {
                "apiVersion": names.CLAIM.api_version,
                "kind": names.CLAIM.name,
                "metadata": {"name": name, "namespace": app.namespace},
                "spec": {"resources": {"requests": {"storage": store.storage.size}}},
            }


def _claim_template(app: RagPipeline, store: ManagedStore, size: str) -> Body:
    return {
        "apiVersion": names.CLAIM.api_version,
        "kind": names.CLAIM.name,
        "metadata": {"name": names.QDRANT_VOLUME, "labels": names.labels(app.name, names.QDRANT)},
        "spec": claim_spec(size, store.storage.storage_class_name),
    }


def _pod(app: RagPipeline, store: ManagedStore) -> Body:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(USER),
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(app, store)],
        "volumes": [{"name": "init", "emptyDir": {}}],
    }


def _container(app: RagPipeline, store: ManagedStore) -> Body:
    return {
        "name": names.QDRANT,
        "image": store.image,
        "env": _environment(app),
        "ports": [
            {"name": "http", "containerPort": names.QDRANT_HTTP_PORT},
            {"name": "grpc", "containerPort": names.QDRANT_GRPC_PORT},
        ],
        # Qdrant asks for no key on these paths. Loading big segments at the start may take minutes.
        "startupProbe": http_probe("/livez", delay=0, period=2, timeout=5, failures=300),
        "livenessProbe": http_probe("/livez", delay=0, period=10, timeout=5, failures=6),
        "readinessProbe": http_probe("/readyz", delay=0, period=5, timeout=5, failures=3),
        "resources": resources_of(store.resources.requests, store.resources.limits),
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": names.QDRANT_VOLUME, "mountPath": STORAGE},
            {"name": "init", "mountPath": WRITABLE},
        ],
    }


def _environment(app: RagPipeline) -> list[Body]:
    """Qdrant's settings; beside its volume it writes one marker file, which a read-only image has no place for."""
    plain = {
        "QDRANT_INIT_FILE_PATH": f"{WRITABLE}/.qdrant-initialized",
        "QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY": "false",
        "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{STORAGE}/snapshots",
        "QDRANT__STORAGE__STORAGE_PATH": STORAGE,
        "QDRANT__TELEMETRY_DISABLED": "true",
    }
    key = secret_variable("QDRANT__SERVICE__API_KEY", names.keys(app.name), names.KEY_QDRANT)
    return [key, *({"name": name, "value": value} for name, value in plain.items())]
