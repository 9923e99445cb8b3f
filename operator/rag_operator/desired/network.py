"""Who may talk to whom: a NetworkPolicy for the runtime and one for its store. Pure.

Whatever is not named here is denied, where the cluster's network enforces policies at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.spec import ExternalStore, ManagedStore, RagPipeline
from rag_operator.spec.access import Caller
from rag_operator.spec.placement import PodTemplate

NAMESPACE_NAME = "kubernetes.io/metadata.name"
DNS = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
HTTPS_PORT = 443
ADDRESS = re.compile(r"(?P<scheme>https?)://([^/@\s]*@)?(\[[^\]]*\]|[^:/\s]+)(:(?P<port>\d{1,5}))?(/|$)")


def build_policies(app: RagPipeline) -> Iterator[Body]:
    yield _policy(app, app.name, names.RUNTIME, [_callers(app)], [DNS, *_runtime_egress(app)])
    if isinstance(app.store, ManagedStore):
        egress = [DNS, *_store_egress(app, app.store)]
        yield _policy(app, names.qdrant(app.name), names.QDRANT, list(_store_ingress(app, app.store)), egress)


def _policy(app: RagPipeline, name: str, component: str, ingress: list[Body], egress: list[Body]) -> Body:
    spec = {
        "podSelector": {"matchLabels": names.selector(app.name, component)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }
    return build_object(names.NETWORK_POLICY, app, name, component, spec=spec)


def _callers(app: RagPipeline) -> Body:
    """Without a list everyone, for whom there are keys; with one, those that must always get through too."""
    rule: Body = {"ports": _tcp(names.HTTP_PORT)}
    if app.spec.access.allowed_from:
        callers = [_caller(app, caller) for caller in app.spec.access.allowed_from]
        rule["from"] = [*callers, _operator(app), *_prometheus(app), _pods(app)]
    return rule


def _caller(app: RagPipeline, caller: Caller) -> Body:
    return _peer(caller.namespace or app.namespace, dict(caller.pod_labels))


def _operator(app: RagPipeline) -> Body:
    """For its probe."""
    return _peer(app.operator_namespace, {"app.kubernetes.io/name": names.MANAGED_BY})


def _prometheus(app: RagPipeline) -> list[Body]:
    """In whatever namespace it runs."""
    if not app.spec.monitoring.service_monitor:
        return []
    return [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}]


def _pods(app: RagPipeline) -> Body:
    """The pipeline's own, whichever component."""
    return {"podSelector": {"matchLabels": {names.LABEL_INSTANCE: app.name, names.LABEL_MANAGED_BY: names.MANAGED_BY}}}


def _peer(namespace: str, labels: dict[str, str]) -> Body:
    chosen = {"podSelector": {"matchLabels": labels}} if labels else {}
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}}, **chosen}


def _runtime_egress(app: RagPipeline) -> Iterator[Body]:
    """Its store, its model provider, where models come from. By port: whose addresses those are, no policy can say."""
    if isinstance(app.store, ManagedStore):
        to = [{"podSelector": {"matchLabels": names.selector(app.name, names.QDRANT)}}]
        yield {"to": to, "ports": _tcp(names.QDRANT_HTTP_PORT, names.QDRANT_GRPC_PORT)}
    urls = [app.store.url] if isinstance(app.store, ExternalStore) else []
    ports = {HTTPS_PORT, *_ports(urls), *_extra_ports(app.spec.pod_template)}
    if isinstance(app.store, ExternalStore):
        ports.add(names.QDRANT_GRPC_PORT)
    yield {"ports": _tcp(*sorted(ports))}


def _store_ingress(app: RagPipeline, store: ManagedStore) -> Iterator[Body]:
    yield {"from": [_pods(app)], "ports": _tcp(names.QDRANT_HTTP_PORT, names.QDRANT_GRPC_PORT)}
    if store.replicas > 1:
        yield {"from": _peers(app), "ports": _tcp(names.QDRANT_PEER_PORT)}


def _store_egress(app: RagPipeline, store: ManagedStore) -> Iterator[Body]:
    if store.replicas > 1:
        yield {"to": _peers(app), "ports": _tcp(names.QDRANT_HTTP_PORT, names.QDRANT_PEER_PORT)}
    if extra := _extra_ports(store.pod_template):
        yield {"ports": _tcp(*sorted(extra))}


def _peers(app: RagPipeline) -> list[Body]:
    return [{"podSelector": {"matchLabels": names.selector(app.name, names.QDRANT)}}]


def _extra_ports(template: PodTemplate) -> set[int]:
    """Whoever gives a pod an address means it to get there."""
    return _ports(variable.value for variable in template.extra_env if variable.value)


def _ports(texts: Iterable[str]) -> set[int]:
    return {port for text in texts if (port := _port(text))}


def _port(text: str) -> int | None:
    """Of an http address; None for any other text."""
    found = ADDRESS.match(text)
    if found is None:
        return None
    return int(found["port"] or {"http": 80, "https": HTTPS_PORT}[found["scheme"]])


def _tcp(*ports: int) -> list[Body]:
    return [{"protocol": "TCP", "port": port} for port in ports]
