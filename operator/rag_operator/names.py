"""Every name that two places share: kinds, labels, child names, ports, secret keys, annotations. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

GROUP = "ragops.dev"
FIELD_MANAGER = "rag-operator"
# Holds a Deployment's number of pods from when we let go of it until an autoscaler takes it.
SCALE_MANAGER = "rag-operator-scale"
MANAGED_BY = "rag-operator"
MANAGED_SELECTOR = f"app.kubernetes.io/managed-by={MANAGED_BY}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, and where the API server keeps it."""

    group: str
    version: str
    name: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


PIPELINE = Kind(GROUP, "v1alpha1", "RagPipeline", "ragpipelines")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE = Kind("", "v1", "Service", "services")
CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD = Kind("", "v1", "Pod", "pods")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
SERVICE_MONITOR = Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
PROMETHEUS_RULE = Kind("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT = Kind("events.k8s.io", "v1", "Event", "events")

# Secrets are in none of these: whoever may list Secrets may read them all.
ALWAYS_SERVED = (
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    SERVICE,
    NETWORK_POLICY,
    DEPLOYMENT,
    STATEFUL_SET,
    AUTOSCALER,
    DISRUPTION_BUDGET,
    INGRESS,
)
# Kinds of the Prometheus Operator, which not every cluster has. A watch needs a kind that is there from the start, so
# these are only listed, at each resync.
OPTIONAL = (SERVICE_MONITOR, PROMETHEUS_RULE)
CHILDREN = (*ALWAYS_SERVED, *OPTIONAL)
WATCHED = (*ALWAYS_SERVED, CLAIM, POD)
BY_NAME = {kind.name: kind for kind in (*WATCHED, *OPTIONAL, SECRET, PIPELINE)}


class Key(NamedTuple):
    """Which pipeline."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Ref(NamedTuple):
    """Which object."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}"


RUNTIME, QDRANT = "runtime", "qdrant"

LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
ANNOTATION_CONFIG_HASH = f"{GROUP}/config-hash"
ANNOTATION_PAUSE = f"{GROUP}/pause-reconciliation"
ANNOTATION_ROTATE = f"{GROUP}/rotate-key"
ANNOTATION_ROTATED_AT = f"{GROUP}/rotated-at"
# The one by which `kubectl rollout restart` marks a pod template.
ANNOTATION_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

HTTP_PORT = 8000
QDRANT_HTTP_PORT, QDRANT_GRPC_PORT, QDRANT_PEER_PORT = 6333, 6334, 6335

KEY_ADMIN, KEY_CLIENT, KEY_QDRANT, KEYS_FILE = "admin", "client", "qdrant", "api-keys"
KEY_OPERATOR = "operator"
GENERATED_KEYS = (KEY_ADMIN, KEY_CLIENT, KEY_OPERATOR, KEY_QDRANT)
# Qdrant reads its own key once, at its start.
ROTATED_KEYS = (KEY_ADMIN, KEY_CLIENT, KEY_OPERATOR)
KEYS_FOLDER = "/etc/ragops/keys"
TLS_FOLDER, TLS_CERT, TLS_KEY = "/etc/ragops/tls", "tls.crt", "tls.key"
DATA_FOLDER = "/data"
DATA_VOLUME, QDRANT_VOLUME = "data", "qdrant-storage"


def qdrant(pipeline: str) -> str:
    return f"{pipeline}-qdrant"


def qdrant_peers(pipeline: str) -> str:
    """The headless Service that gives each server a name of its own."""
    return f"{pipeline}-qdrant-headless"


def dashboard(pipeline: str) -> str:
    return f"{pipeline}-dashboard"


def keys(pipeline: str) -> str:
    return f"{pipeline}-keys"


def client(pipeline: str) -> str:
    return f"{pipeline}-client"


def previous(key: str) -> str:
    """Under which name a key is kept that is being replaced."""
    return f"{key}-previous"


PREVIOUS_KEYS = tuple(previous(key) for key in ROTATED_KEYS)


def qdrant_claim(pipeline: str, number: int) -> str:
    """As its StatefulSet calls it."""
    return f"{QDRANT_VOLUME}-{qdrant(pipeline)}-{number}"


def data_claim(pipeline: str) -> str:
    return f"{pipeline}-data"


def service_url(pipeline: str, namespace: str, port: int, *, tls: bool = False) -> str:
    """Where the runtime is asked, from within the cluster."""
    scheme, usual = ("https", 443) if tls else ("http", 80)
    host = f"{scheme}://{pipeline}.{namespace}.svc"
    return host if port == usual else f"{host}:{port}"


def qdrant_url(pipeline: str, namespace: str) -> str:
    return f"http://{qdrant(pipeline)}.{namespace}.svc:{QDRANT_HTTP_PORT}"


def selector(pipeline: str, component: str) -> dict[str, str]:
    """What picks a component's pods. It never changes: a workload's selector is immutable."""
    return {LABEL_INSTANCE: pipeline, LABEL_COMPONENT: component}


def labels(pipeline: str, component: str) -> dict[str, str]:
    """What every object of ours carries."""
    return {
        **selector(pipeline, component),
        "app.kubernetes.io/name": "ragops",
        "app.kubernetes.io/part-of": pipeline,
        LABEL_MANAGED_BY: MANAGED_BY,
    }


def version_label(image: str) -> dict[str, str]:
    """An image's tag, where it has one that may stand in a label."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    valid = re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", tag)
    return {"app.kubernetes.io/version": tag} if valid else {}


def ref_of(body: Mapping[str, Any]) -> Ref:
    meta = body["metadata"]
    return Ref(BY_NAME[body["kind"]], meta["namespace"], meta["name"])


def key_of(body: Mapping[str, Any]) -> Key:
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])


def is_the_clusters_own(ref: Ref) -> bool:
    """What Kubernetes makes by itself in every namespace, or in its first one, and makes again when it is deleted."""
    return (ref.kind, ref.name) == (SERVICE_ACCOUNT, "default") or ref[1:] == ("default", "kubernetes")


def owner_key(meta: Mapping[str, Any]) -> Key | None:
    """The pipeline that an object's labels name; None for an object without ours."""
    found = meta.get("labels") or {}
    if found.get(LABEL_MANAGED_BY) != MANAGED_BY or LABEL_INSTANCE not in found:
        return None
    return Key(meta["namespace"], found[LABEL_INSTANCE])


def controller_of(meta: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one owner that manages an object."""
    owners: list[Mapping[str, Any]] = meta.get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def controller_key(meta: Mapping[str, Any]) -> Key | None:
    """The pipeline that manages an object, whatever somebody did to its labels; None where it is something else."""
    owner = controller_of(meta)
    if owner is None or owner.get("kind") != PIPELINE.name or not str(owner.get("apiVersion")).startswith(f"{GROUP}/"):
        return None
    return Key(meta["namespace"], owner["name"])
