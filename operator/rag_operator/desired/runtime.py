"""The runtime: its Deployment, Service, and, with an embedded store, its volume. Pure."""

from __future__ import annotations

from typing import Any

from rag_operator import names
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
from rag_operator.spec import EmbeddedStore, ExternalStore, RagPipeline
from rag_operator.spec.fields import Probe

USER = 65532
# Endpoints forget a stopping pod a little after it is told to stop: until then it goes on answering.
PRE_STOP_SECONDS = 5


def build_service(app: RagPipeline) -> Body:
    # Who goes between, such as an Ingress controller, is told by this what to speak.
    protocol = {"appProtocol": "https"} if app.spec.access.tls else {}
    spec = {
        "type": app.spec.service.type,
        "selector": names.selector(app.name, names.RUNTIME),
        "ports": [{"name": "http", "port": app.spec.service.port, "targetPort": "http", **protocol}],
    }
    return build_object(names.SERVICE, app, app.name, names.RUNTIME, spec=spec)


def build_claim(app: RagPipeline, store: EmbeddedStore) -> Body:
    """The embedded store's volume. Only a pipeline that is to take its data along owns it."""
    spec = claim_spec(store.storage.size, store.storage.storage_class_name)
    body = build_object(names.CLAIM, app, names.data_claim(app.name), names.RUNTIME, spec=spec)
    if app.spec.deletion_policy == "Retain":
        body["metadata"]["ownerReferences"] = []
    return body


def build_deployment(app: RagPipeline, config_hash: str) -> Body:
    body = build_object(names.DEPLOYMENT, app, app.name, names.RUNTIME)
    body["metadata"]["labels"] |= names.version_label(app.image)
    # While an autoscaler counts the pods, the number is no business of ours.
    counted = {} if app.autoscaling else {"replicas": app.replicas}
    body["spec"] = {
        **counted,
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 600,
        "strategy": _strategy(app),
        "selector": {"matchLabels": names.selector(app.name, names.RUNTIME)},
        "template": {
            "metadata": pod_metadata(app, names.RUNTIME, app.spec.pod_template, config_hash),
            "spec": _pod(app),
        },
    }
    return body


def _strategy(app: RagPipeline) -> Body:
    """An embedded store has one writer, so the old pod goes first; otherwise the new pods come first."""
    if isinstance(app.store, EmbeddedStore):
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def _pod(app: RagPipeline) -> Body:
    return {
        "automountServiceAccountToken": False,
        # A Service called "qdrant" would else put variables like QDRANT_PORT into the runtime's environment.
        "enableServiceLinks": False,
        "securityContext": pod_security(USER),
        **pod_placement(app, names.RUNTIME, app.spec.pod_template),
        "terminationGracePeriodSeconds": PRE_STOP_SECONDS + app.spec.generation.timeout_seconds + 15,
        "containers": [_container(app)],
        "volumes": _volumes(app),
    }


def _container(app: RagPipeline) -> Body:
    return {
        "name": names.RUNTIME,
        "image": app.image,
        "args": ["serve"],
        "envFrom": [{"configMapRef": {"name": app.name}}],
        "env": [*_secret_variables(app), *extra_variables(app.spec.pod_template)],
        "ports": [{"name": "http", "containerPort": names.HTTP_PORT}],
        **_probes(app),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "resources": resources_of(app.resources.requests, app.resources.limits),
        "securityContext": container_security(),
        # Why it ended is in its last line, and from there in the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(app),
    }


def _secret_variables(app: RagPipeline) -> list[Body]:
    found = []
    gemini = app.spec.generation.api_key_secret_ref
    if app.provider == "gemini" and gemini:
        found.append(secret_variable("GEMINI_API_KEY", gemini.name, gemini.key))
    if isinstance(app.store, ExternalStore):
        if app.store.api_key_secret_ref:
            reference = app.store.api_key_secret_ref
            found.append(secret_variable("QDRANT_API", reference.name, reference.key))
    elif not isinstance(app.store, EmbeddedStore):
        found.append(secret_variable("QDRANT_API", names.keys(app.name), names.KEY_QDRANT))
    return found


def _mounts(app: RagPipeline) -> list[Body]:
    certificate = {"name": "tls", "mountPath": names.TLS_FOLDER, "readOnly": True}
    return [
        {"name": "keys", "mountPath": names.KEYS_FOLDER, "readOnly": True},
        *([certificate] if app.spec.access.tls else []),
        {"name": names.DATA_VOLUME, "mountPath": names.DATA_FOLDER},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]


def _volumes(app: RagPipeline) -> list[Body]:
    claim = {"persistentVolumeClaim": {"claimName": names.data_claim(app.name)}}
    keys = {
        "secretName": names.keys(app.name),
        "defaultMode": 0o440,
        "items": [{"key": names.KEYS_FILE, "path": names.KEYS_FILE}],
    }
    return [
        {"name": "keys", "secret": keys},
        *_certificate(app),
        {"name": names.DATA_VOLUME, **(claim if isinstance(app.store, EmbeddedStore) else {"emptyDir": {}})},
        {"name": "tmp", "emptyDir": {}},
    ]


def _certificate(app: RagPipeline) -> list[Body]:
    if app.spec.access.tls is None:
        return []
    secret = {"secretName": app.spec.access.tls.secret_ref.name, "defaultMode": 0o440}
    items = [{"key": key, "path": key} for key in (names.TLS_CERT, names.TLS_KEY)]
    return [{"name": "tls", "secret": {**secret, "items": items}}]


def _probes(app: RagPipeline) -> dict[str, Body]:
    """The mission's numbers. The startup probe keeps a slow model load from looking like a dead process."""
    probes, tls = app.spec.probes, app.spec.access.tls is not None
    return {
        "startupProbe": _probe("/livez", probes.startup, tls=tls, delay=0, period=5, timeout=5, failures=120),
        "livenessProbe": _probe("/livez", probes.liveness, tls=tls, delay=60, period=30, timeout=10, failures=3),
        "readinessProbe": _probe("/ready", probes.readiness, tls=tls, delay=30, period=10, timeout=5, failures=3),
    }


def _probe(path: str, override: Probe, **defaults: Any) -> Body:
    given = override.model_dump(by_alias=True, exclude_none=True)
    return {**http_probe(path, **defaults), **given}
