"""Make the cluster like the plan: server-side apply of what differs, and removal of what is no longer wanted.

Nothing is sent for an object that is as we last left it, and an object that is not ours is never touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from rag_operator import metrics, names, observe
from rag_operator.children import Children, to_seen
from rag_operator.desired import Body, Plan
from rag_operator.errors import Forbidden, Rejected
from rag_operator.kube import Client
from rag_operator.names import Key, Ref
from rag_operator.spec import RagPipeline
from rag_operator.state import Inputs, Problem, Reason, Seen

# Of a webhook's words, which have no limit of their own.
REFUSAL_CHARACTERS = 1000


class Applied(NamedTuple):
    """What we sent last, and what the object then was."""

    body_hash: str
    uid: str
    fields_hash: str


class Applier:
    """Remembers what it sent, so that a visit which changes nothing costs nothing."""

    def __init__(self, api: Client, children: Children) -> None:
        self._api = api
        self._children = children
        self._applied: dict[Key, dict[Ref, Applied]] = {}

    def forget(self, key: Key) -> None:
        self._applied.pop(key, None)

    async def apply(self, app: RagPipeline, inputs: Inputs, plan: Plan) -> Problem | None:
        """The first problem; what does not depend on it is applied all the same. Nothing at all on a name conflict."""
        refs = [names.ref_of(body) for body in plan.children]
        # Side by side: a new pipeline has a dozen, each of which is looked for on the server.
        found = dict(zip(refs, await asyncio.gather(*map(self._read, refs)), strict=True))
        secrets = [to_seen(body) for body in inputs.own.values() if body]
        if conflict := _name_conflict(app, [*(seen for seen in found.values() if seen), *secrets]):
            return conflict
        problems = [await self._secret(inputs, body) for body in plan.secrets]
        problems += [await self._hand_over(plan.handover)] if plan.handover else []
        problems += [await self._child(app, body, found[names.ref_of(body)]) for body in plan.children]
        problems += [await self._grow(body) for body in plan.grown]
        problems += [await self._prune(app, plan)]
        return next((problem for problem in problems if problem), None)

    async def _read(self, ref: Ref) -> Seen | None:
        return await observe.read_child(self._api, self._children, ref)

    async def _secret(self, inputs: Inputs, body: Body) -> Problem | None:
        """Created, so that of two operators only one's keys stand; changed only as it was read."""
        live = inputs.own[names.ref_of(body)]
        if live and _covers(live, body):
            return None
        metrics.APPLIES.labels(body["kind"]).inc()
        try:
            if live is None:
                await self._api.create(names.SECRET, body)
            else:
                await self._api.apply(_at_version(body, live["metadata"]["resourceVersion"]))
        except (Forbidden, Rejected) as refused:
            return _refused(names.ref_of(body), refused)
        return None

    async def _child(self, app: RagPipeline, body: Body, seen: Seen | None) -> Problem | None:
        ref = names.ref_of(body)
        applied = self._applied.setdefault(Key(app.namespace, app.name), {})
        body_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if seen and applied.get(ref) == Applied(body_hash, seen.uid, seen.fields_hash):
            return None
        before = self._children.get(ref)
        metrics.APPLIES.labels(body["kind"]).inc()
        try:
            answer = await self._api.apply(body)
        except (Forbidden, Rejected) as refused:
            return _refused(ref, refused)
        now = self._children.note_answer(answer, before)
        applied[ref] = Applied(body_hash, now.uid, now.fields_hash)
        return None

    async def _hand_over(self, replicas: Body) -> Problem | None:
        metrics.APPLIES.labels(replicas["kind"]).inc()
        try:
            await self._api.apply(replicas, manager=names.SCALE_MANAGER)
        except (Forbidden, Rejected) as refused:
            return _refused(names.ref_of(replicas), refused)
        return None

    async def _grow(self, claim: Body) -> Problem | None:
        """A volume claim that its StatefulSet made, and of which only the size is ours."""
        metrics.APPLIES.labels(claim["kind"]).inc()
        try:
            await self._api.apply(claim)
        except (Forbidden, Rejected) as refused:
            return _refused(names.ref_of(claim), refused)
        return None

    async def _prune(self, app: RagPipeline, plan: Plan) -> Problem | None:
        """Of the kinds that we make. Volume claims are none of them: data is never removed by a change of the spec."""
        wanted = plan.wanted
        for seen in self._children.of(Key(app.namespace, app.name)):
            if seen.ref.kind not in names.CHILDREN or seen.ref in wanted or seen.controller_uid != app.uid:
                continue
            try:
                await self._api.delete(seen.ref, seen.uid)
            except (Forbidden, Rejected) as refused:
                return _refused(seen.ref, refused)
        return None


def _name_conflict(app: RagPipeline, seen: list[Seen]) -> Problem | None:
    foreign = [child for child in seen if not _is_ours(app, child)]
    for child in foreign:
        if child.controller != app.name:
            return Problem(Reason.NAME_CONFLICT, _conflict_message(child.ref))
    if foreign:
        # Kubernetes removes it by itself, sooner or later.
        return Problem(Reason.PROGRESSING, f"{foreign[0].ref} of an earlier pipeline {app.name} is still being removed")
    return None


def _conflict_message(ref: Ref) -> str:
    kind, namespace, name = ref
    if names.is_the_clusters_own(ref):
        return f'{kind.name} "{name}" is made by Kubernetes itself: rename the pipeline'
    return (
        f'{kind.name} "{name}" exists and is not of this pipeline: rename the pipeline, or remove it with '
        f"kubectl delete {kind.name.lower()} {name} -n {namespace}"
    )


def _is_ours(app: RagPipeline, child: Seen) -> bool:
    """Owned by this very pipeline; or left behind, without an owner, by one of its name."""
    return child.controller_uid == app.uid or (child.controller_uid is None and child.labelled_instance == app.name)


def _covers(live: Mapping[str, Any], body: Body) -> bool:
    """Whether a Secret has all that we want in it, and our owner reference as it should be."""
    have, want = live["metadata"], body["metadata"]
    data = live.get("data") or {}
    return (
        body["data"].items() <= data.items()
        and not [name for name in names.PREVIOUS_KEYS if name in data and name not in body["data"]]
        and want.get("annotations", {}).items() <= (have.get("annotations") or {}).items()
        and want["labels"].items() <= (have.get("labels") or {}).items()
        and all(owner in (have.get("ownerReferences") or []) for owner in want["ownerReferences"])
    )


def _at_version(body: Body, version: str) -> Body:
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}}


def _refused(ref: Ref, refused: Forbidden | Rejected) -> Problem:
    """A 403 says one of four things, and only in words: https://kubernetes.io/docs/reference/access-authn-authz/"""
    text = str(refused)[:REFUSAL_CHARACTERS]
    if isinstance(refused, Rejected):
        return Problem(Reason.INVALID_SPEC, f"{ref} was refused: {text}")
    if "exceeded quota" in text:
        return Problem(Reason.QUOTA_EXCEEDED, f"{ref}: {text}: ask for less, or raise the quota")
    if "because it is being terminated" in text:
        return Problem(Reason.DELETING, f"namespace {ref.namespace} is being deleted, and the pipeline with it")
    if " cannot " in text:
        return Problem(Reason.FORBIDDEN, f"{ref}: {text}: grant it to the operator's service account")
    return Problem(Reason.FORBIDDEN, f"{ref}: {text}: that is a rule of the cluster: ask for what it allows")
