"""The pipeline's own Secrets: its keys, and what an app binds to. Pure: keys are generated elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.rotation import Keys
from rag_operator.spec import RagPipeline

SCOPES = {names.KEY_ADMIN: "admin", names.KEY_CLIENT: "query,ingest", names.KEY_OPERATOR: "query"}


def build_keys(app: RagPipeline, keys: Keys) -> Body:
    """The raw keys, and the file of them that the runtime reads: name, scopes, key."""
    admitted = [
        f"{name} {scopes} {keys.values[name]}\n"
        for key, scopes in SCOPES.items()
        for name in (key, names.previous(key))
        if name in keys.values
    ]
    body = _secret(app, names.keys(app.name), {**keys.values, names.KEYS_FILE: "".join(admitted)})
    if keys.annotations:
        body["metadata"]["annotations"] = dict(keys.annotations)
    return body


def build_client(app: RagPipeline, keys: Keys) -> Body:
    """The binding Secret, as Service Binding for Kubernetes has it: https://servicebinding.io/spec/core/1.1.0/"""
    values = {"type": "rag", "provider": "ragops", "url": app.url, "api-key": keys.client}
    return _secret(app, names.client(app.name), values)


def _secret(app: RagPipeline, name: str, values: Mapping[str, str]) -> Body:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return build_object(names.SECRET, app, name, names.RUNTIME, type="Opaque", data=data)
