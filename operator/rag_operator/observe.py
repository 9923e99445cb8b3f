"""All reads that a visit needs: the Secrets by name, and the children from the map that the watches feed."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rag_operator import names, rotation
from rag_operator.children import Children, to_seen
from rag_operator.desired import config
from rag_operator.kube import Client
from rag_operator.names import Key, Kind, Ref
from rag_operator.spec import RagPipeline, mounted, references
from rag_operator.spec.fields import SecretKeyRef
from rag_operator.state import ClaimState, Inputs, Observed, PodState, Problem, Reason, Seen, Workload

KEY_BYTES = 32
# A token of a service account is no key of a model provider or a store: whoever names one means to get at it.
REFUSED_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")


async def read_inputs(api: Client, app: RagPipeline, now: datetime, *, overlap_seconds: float) -> Inputs:
    own = {
        ref: _without_history(await api.get(ref))
        for ref in (
            Ref(names.SECRET, app.namespace, names.keys(app.name)),
            Ref(names.SECRET, app.namespace, names.client(app.name)),
        )
    }
    live = next(iter(own.values())) or {}
    keys = rotation.advance(
        _values(live),
        live.get("metadata", {}).get("annotations") or {},
        app.wishes.rotate_key,
        now,
        overlap_seconds=overlap_seconds,
        make=lambda: secrets.token_urlsafe(KEY_BYTES),
    )
    fingerprints: dict[str, str] = {}
    problem: Problem | None = None
    for path, reference in references(app).items():
        found = await _read_value(api, app.namespace, path, reference)
        if isinstance(found, Problem):
            problem = problem or found
        else:
            fingerprints[path] = config.fingerprint(app, found)
    certificate = ""
    for path, reference in mounted(app).items():
        found = await _read_value(api, app.namespace, path, reference)
        if isinstance(found, Problem):
            problem = problem or found
        elif reference.key == names.TLS_CERT:
            certificate = found
    served = frozenset([kind for kind in names.OPTIONAL if await api.serves(kind)])
    return Inputs(keys, own, fingerprints, problem, served, certificate)


def _without_history(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """An object without what is most of it, for these are kept: who set which field, and when."""
    if body is None:
        return None
    return {**body, "metadata": {name: value for name, value in body["metadata"].items() if name != "managedFields"}}


async def read_child(api: Client, children: Children, ref: Ref) -> Seen | None:
    """From the map; an object that no watch has brought, such as one without our labels, is asked for."""
    if seen := children.get(ref):
        return seen
    body = await api.get(ref)
    return to_seen(body) if body else None


def read_children(children: Children, app: RagPipeline) -> Observed:
    runtime = children.get(Ref(names.DEPLOYMENT, app.namespace, app.name))
    qdrant = children.get(Ref(names.STATEFUL_SET, app.namespace, names.qdrant(app.name)))
    family = children.of(Key(app.namespace, app.name))
    return Observed(
        runtime=_workload(runtime, app),
        qdrant=_workload(qdrant, app),
        pods={seen.ref.name: seen.detail for seen in family if isinstance(seen.detail, PodState)},
        claims={seen.ref.name: seen.detail for seen in family if isinstance(seen.detail, ClaimState)},
    )


async def refresh(api: Client, children: Children, kind: Kind, namespace: str | None) -> set[Key]:
    """List a kind anew, for what the watches may have missed, and say whose objects changed. Of a kind that the
    cluster lacks there is nothing."""
    if kind in names.OPTIONAL and not await api.serves(kind):
        return children.replace(kind, namespace, ())
    listed = [to_seen(body) async for body in api.list(kind, namespace, selector=names.MANAGED_SELECTOR)]
    return children.replace(kind, namespace, listed)


async def _read_value(api: Client, namespace: str, path: str, reference: SecretKeyRef) -> str | Problem:
    body = await api.get(Ref(names.SECRET, namespace, reference.name))
    if body is None:
        return Problem(
            Reason.SECRET_NOT_FOUND,
            f'{path}: there is no Secret "{reference.name}": kubectl create secret generic {reference.name} '
            f"-n {namespace} --from-literal={reference.key}=...",
        )
    if body.get("type") in REFUSED_TYPES:
        return Problem(
            Reason.SECRET_KEY_MISSING,
            f'{path}: Secret "{reference.name}" is of type {body["type"]}: name a Secret that was made for this key',
        )
    value = _values(body).get(reference.key)
    if not value:
        return Problem(
            Reason.SECRET_KEY_MISSING,
            f'{path}: Secret "{reference.name}" has no value "{reference.key}": kubectl edit secret {reference.name} '
            f"-n {namespace}",
        )
    return value


def _values(body: Mapping[str, Any] | None) -> dict[str, str]:
    data: Mapping[str, str] = (body or {}).get("data") or {}
    return {name: text for name, value in data.items() if (text := _decoded(value))}


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _workload(seen: Seen | None, app: RagPipeline) -> Workload | None:
    if seen is None or seen.controller_uid != app.uid or not isinstance(seen.detail, Workload):
        return None
    return seen.detail
