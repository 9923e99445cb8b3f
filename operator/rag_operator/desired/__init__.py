"""What should exist for a pipeline, in the order in which it is applied. Pure: values in, objects out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag_operator import names
from rag_operator.desired import config, qdrant, runtime, secrets
from rag_operator.names import Ref
from rag_operator.spec import EmbeddedStore, ManagedStore, RagPipeline
from rag_operator.state import Inputs

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """`children` are applied; `held` are wanted, but wait for a Secret, and are left as they are until then."""

    secrets: tuple[Body, ...]
    children: tuple[Body, ...]
    held: frozenset[Ref] = frozenset()

    @property
    def wanted(self) -> frozenset[Ref]:
        return frozenset(names.ref_of(body) for body in (*self.secrets, *self.children)) | self.held


def build(app: RagPipeline, inputs: Inputs) -> Plan:
    """A runtime whose Secrets are missing is held back: pods that work are not replaced by pods that cannot start."""
    objects = [config.build_config(app), runtime.build_service(app), *_store(app, inputs)]
    deployment = runtime.build_deployment(app, _runtime_hash(app, inputs))
    held = {names.ref_of(deployment)} if inputs.problem else set()
    return Plan(
        secrets=(secrets.build_keys(app, inputs.keys), secrets.build_client(app, inputs.keys)),
        children=tuple(objects if inputs.problem else [*objects, deployment]),
        held=frozenset(held),
    )


def _store(app: RagPipeline, inputs: Inputs) -> list[Body]:
    match app.store:
        case ManagedStore():
            key = {"key": config.fingerprint(app, inputs.keys[names.KEY_QDRANT])}
            return [
                qdrant.build_service(app),
                qdrant.build_stateful_set(app, app.store, config.config_hash(app, {}, key)),
            ]
        case EmbeddedStore():
            return [runtime.build_claim(app, app.store)]
        case _:
            return []


def _runtime_hash(app: RagPipeline, inputs: Inputs) -> str:
    fingerprints = dict(inputs.secrets)
    if isinstance(app.store, ManagedStore):
        fingerprints["qdrant"] = config.fingerprint(app, inputs.keys[names.KEY_QDRANT])
    return config.config_hash(app, config.environment(app), fingerprints)
