"""The Ingress, by which the runtime has a host name. Pure."""

from __future__ import annotations

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.spec import RagPipeline
from rag_operator.spec.access import Ingress


def build_ingress(app: RagPipeline, wanted: Ingress) -> Body:
    backend = {"service": {"name": app.name, "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Body = {"rules": [{"host": wanted.host, "http": {"paths": [path]}}]}
    if wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_ref:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_ref.name}]
    body = build_object(names.INGRESS, app, app.name, names.RUNTIME, spec=spec)
    if wanted.annotations:
        body["metadata"]["annotations"] = dict(wanted.annotations)
    return body
