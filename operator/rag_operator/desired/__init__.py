"""What should exist for a pipeline, in the order in which it is applied. Pure: values in, objects out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag_operator import names
from rag_operator.desired import (
    accounts,
    config,
    ingress,
    monitoring,
    network,
    qdrant,
    runtime,
    scaling,
    secrets,
)
from rag_operator.names import Ref
from rag_operator.spec import EmbeddedStore, ManagedStore, RagPipeline
from rag_operator.state import Inputs, Observed

Body = dict[str, Any]
NOTHING = Observed()


@dataclass(frozen=True, slots=True)
class Plan:
    """`children` are applied; `held` are wanted, but wait for a Secret, and are left as they are until then.

    `grown` are sizes for claims that are there already; `handover` is a number of pods that another field manager is
    to hold, before ours lets go of it.
    """

    secrets: tuple[Body, ...]
    children: tuple[Body, ...]
    held: frozenset[Ref] = frozenset()
    grown: tuple[Body, ...] = ()
    handover: Body | None = None

    @property
    def wanted(self) -> frozenset[Ref]:
        return frozenset(names.ref_of(body) for body in (*self.secrets, *self.children)) | self.held


def build(app: RagPipeline, inputs: Inputs, seen: Observed = NOTHING) -> Plan:
    """A runtime whose Secrets are missing is held back: pods that work are not replaced by pods that cannot start."""
    objects = [
        accounts.build_account(app, names.RUNTIME, app.spec.pod_template),
        config.build_config(app),
        *network.build_policies(app),
        runtime.build_service(app),
        *([ingress.build_ingress(app, app.spec.ingress)] if app.spec.ingress else []),
        *_store(app, inputs, seen),
        *scaling.build_scaling(app),
        *monitoring.build_monitoring(app, inputs.served),
    ]
    deployment = runtime.build_deployment(app, _runtime_hash(app, inputs))
    held = {names.ref_of(deployment)} if inputs.problem else set()
    return Plan(
        secrets=(secrets.build_keys(app, inputs.keys), secrets.build_client(app, inputs.keys)),
        children=tuple(objects if inputs.problem else [*objects, deployment]),
        held=frozenset(held),
        grown=tuple(qdrant.build_grown_claims(app, app.store, seen)) if isinstance(app.store, ManagedStore) else (),
        handover=None if inputs.problem else scaling.build_handover(app, seen),
    )


def _store(app: RagPipeline, inputs: Inputs, seen: Observed) -> list[Body]:
    match app.store:
        case ManagedStore():
            claimed = seen.qdrant.claim_size if seen.qdrant else None
            key = {"key": config.fingerprint(app, inputs.keys.values[names.KEY_QDRANT])}
            return [
                accounts.build_account(app, names.QDRANT, app.store.pod_template),
                qdrant.build_service(app),
                qdrant.build_peer_service(app),
                qdrant.build_stateful_set(app, app.store, config.config_hash(app, {}, key), claimed=claimed),
            ]
        case EmbeddedStore():
            return [runtime.build_claim(app, app.store)]
        case _:
            return []


def _runtime_hash(app: RagPipeline, inputs: Inputs) -> str:
    fingerprints = dict(inputs.secrets)
    if isinstance(app.store, ManagedStore):
        fingerprints["qdrant"] = config.fingerprint(app, inputs.keys.values[names.KEY_QDRANT])
    return config.config_hash(app, config.environment(app), fingerprints)
