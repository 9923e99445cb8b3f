"""The pipeline's own Secrets: its keys, and what an app binds to. Pure: keys are generated elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.spec import RagPipeline


def build_keys(app: RagPipeline, keys: Mapping[str, str]) -> Body:
    """The raw keys, and the file of them that the runtime reads: name, scopes, key."""
    lines = f"admin admin {keys[names.KEY_ADMIN]}\nclient query,ingest {keys[names.KEY_CLIENT]}\n"
    return _secret(app, names.keys(app.name), {**keys, names.KEYS_FILE: lines})


def build_client(app: RagPipeline, keys: Mapping[str, str]) -> Body:
    """The binding Secret, as Service Binding for Kubernetes has it: https://servicebinding.io/spec/core/1.1.0/"""
    values = {"type": "rag", "provider": "ragops", "url": app.url, "api-key": keys[names.KEY_CLIENT]}
    return _secret(app, names.client(app.name), values)


def _secret(app: RagPipeline, name: str, values: Mapping[str, str]) -> Body:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return build_object(names.SECRET, app, name, names.RUNTIME, type="Opaque", data=data)
