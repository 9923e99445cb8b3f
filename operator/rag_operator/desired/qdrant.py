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
from rag_operator.desired.placement import extra_variables, pod_metadata, pod_placement
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


def build_peer_service(app: RagPipeline) -> Body:
    """The StatefulSet's own: it names each server, and finds those that are not ready, as peers must at the start.

    There is one for a single server too, because a StatefulSet cannot be told of another later.
    """
    ports = [{"name": "p2p", "port": names.QDRANT_PEER_PORT, "targetPort": names.QDRANT_PEER_PORT}]
    selector = names.selector(app.name, names.QDRANT)
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector, "ports": ports}
    return build_object(names.SERVICE, app, names.qdrant_peers(app.name), names.QDRANT, spec=spec)


def build_stateful_set(app: RagPipeline, store: ManagedStore, config_hash: str, *, claimed: str | None = None) -> Body:
    """`claimed` is the size that a StatefulSet which exists was made with, and that it keeps."""
    name = names.qdrant(app.name)
    body = build_object(names.STATEFUL_SET, app, name, names.QDRANT)
    body["metadata"]["labels"] |= names.version_label(store.image or "")
    body["spec"] = {
        "serviceName": names.qdrant_peers(app.name),
        "replicas": app.store_replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": names.selector(app.name, names.QDRANT)},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": app.spec.deletion_policy, "whenScaled": "Retain"},
        "template": {
            "metadata": pod_metadata(app, names.QDRANT, store.pod_template, config_hash),
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
        **pod_placement(app, names.QDRANT, store.pod_template),
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(app, store)],
        "volumes": [{"name": "init", "emptyDir": {}}],
    }


def _container(app: RagPipeline, store: ManagedStore) -> Body:
    return {
        "name": names.QDRANT,
        "image": store.image,
        **(_peering(app) if store.replicas > 1 else {}),
        "env": [*_environment(app, store), *extra_variables(store.pod_template)],
        "ports": _ports(store),
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


def _ports(store: ManagedStore) -> list[Body]:
    ports = {"http": names.QDRANT_HTTP_PORT, "grpc": names.QDRANT_GRPC_PORT}
    if store.replicas > 1:
        ports["p2p"] = names.QDRANT_PEER_PORT
    return [{"name": name, "containerPort": port} for name, port in ports.items()]


def _peering(app: RagPipeline) -> Body:
    """Each server says by what name its peers reach it, and all but the first whom to join. The image's own start runs.

    https://qdrant.tech/documentation/scaling/distributed_deployment/
    """
    domain = f"{names.qdrant_peers(app.name)}.{app.namespace}.svc:{names.QDRANT_PEER_PORT}"
    first = f"{names.qdrant(app.name)}-0"
    script = (
        f'if [ "$HOSTNAME" = {first} ]; then exec ./entrypoint.sh --uri "http://$HOSTNAME.{domain}"; fi\n'
        f'exec ./entrypoint.sh --bootstrap "http://{first}.{domain}" --uri "http://$HOSTNAME.{domain}"\n'
    )
    return {"command": ["/bin/sh", "-c", script]}


def _environment(app: RagPipeline, store: ManagedStore) -> list[Body]:
    """Qdrant's settings; beside its volume it writes one marker file, which a read-only image has no place for."""
    plain = {
        "QDRANT_INIT_FILE_PATH": f"{WRITABLE}/.qdrant-initialized",
        "QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY": "false",
        "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{STORAGE}/snapshots",
        "QDRANT__STORAGE__STORAGE_PATH": STORAGE,
        "QDRANT__TELEMETRY_DISABLED": "true",
    }
    if store.replicas > 1:
        plain |= {"QDRANT__CLUSTER__ENABLED": "true", "QDRANT__CLUSTER__P2P__PORT": str(names.QDRANT_PEER_PORT)}
    key = secret_variable("QDRANT__SERVICE__API_KEY", names.keys(app.name), names.KEY_QDRANT)
    return [key, *({"name": name, "value": value} for name, value in plain.items())]
