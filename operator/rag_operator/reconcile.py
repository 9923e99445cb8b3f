"""One visit to one pipeline: what is wanted, what is, what to say of it. Safe to repeat at any point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from rag_operator import desired, events, names, observe, pods, spec, status
from rag_operator.apply import Applier
from rag_operator.children import Children
from rag_operator.errors import ApiError, Forbidden, SpecInvalid
from rag_operator.kube import Client
from rag_operator.names import Key, Ref
from rag_operator.queue import DONE, RETRY, Again
from rag_operator.spec import RagPipeline, Release
from rag_operator.state import Inputs, Observed, Problem, Reason, Status

Body = dict[str, Any]

# Pods that run but are not ready become a failure by the passing of time alone, which no watch tells.
UNREADY_SECONDS = 30.0

log = structlog.get_logger()


class Reconciler:
    def __init__(
        self, api: Client, children: Children, release: Release, clock: Callable[[], datetime], *, instance: str
    ) -> None:
        self._api = api
        self._children = children
        self._release = release
        self._clock = clock
        self._instance = instance
        self._applier = Applier(api, children)
        self._inputs: dict[Key, tuple[int, Inputs]] = {}

    def look_again(self, key: Key) -> None:
        """Let the next visit read the Secrets too, which no watch covers."""
        self._inputs.pop(key, None)

    async def visit(self, key: Key) -> Again:
        body = await self._api.get(Ref(names.PIPELINE, *key))
        if body is None:
            return self._forget(key)
        if "deletionTimestamp" in body["metadata"]:
            await self._halt(body, Problem(Reason.DELETING, "it is being deleted, and what it owns goes with it"))
            return DONE
        try:
            app = spec.load(body, self._release)
        except SpecInvalid as invalid:
            await self._halt(body, Problem(Reason.INVALID_SPEC, str(invalid)))
            return DONE
        try:
            return await self._reconcile(key, app, body)
        except Forbidden as refused:
            # Reading is refused: what is refused to be written has a message of its own.
            await self._halt(body, Problem(Reason.FORBIDDEN, f"{refused}: grant it to the operator's service account"))
            self.look_again(key)
            return RETRY

    async def _reconcile(self, key: Key, app: RagPipeline, body: Body) -> Again:
        inputs = await self._read_inputs(key, app)
        plan = desired.build(app, inputs, observe.read_children(self._children, app))
        refused = await self._applier.apply(app, inputs, plan)
        seen = observe.read_children(self._children, app)
        old = body.get("status") or {}
        recalled = status.recall(seen, self._clock(), old, app.generation)
        facts = replace(recalled, missing=inputs.problem, refused=refused)
        await self._write(body, status.evaluate(app, facts, old, self._release.version))
        return self._again(key, app, inputs, refused, seen)

    def _again(self, key: Key, app: RagPipeline, inputs: Inputs, refused: Problem | None, seen: Observed) -> Again:
        if inputs.problem or refused:
            self.look_again(key)
            return RETRY
        if any(body is None for body in inputs.own.values()):
            self.look_again(key)
        else:
            self._inputs[key] = (app.generation, inputs)
        unready = any(pod.started and not pod.ready for pod in seen.pods.values())
        return Again(after_seconds=min(UNREADY_SECONDS, pods.probe_grace_seconds(app) + 1)) if unready else DONE

    async def _read_inputs(self, key: Key, app: RagPipeline) -> Inputs:
        generation, inputs = self._inputs.get(key, (None, None))
        if inputs is not None and generation == app.generation:
            return inputs
        return await observe.read_inputs(self._api, app)

    async def _halt(self, body: Body, problem: Problem) -> None:
        old = body.get("status") or {}
        await self._write(body, status.halted(problem, old, body["metadata"]["generation"], self._clock()))

    async def _write(self, body: Body, new: Status) -> None:
        """Only a status that changed, and only over the one that was read; then tell of what changed."""
        old = body.get("status") or {}
        told = new.model_dump(mode="json", by_alias=True, exclude_none=True)
        if told == old:
            return
        removed = dict.fromkeys(old.keys() - told.keys())
        meta = body["metadata"]
        ref = Ref(names.PIPELINE, meta["namespace"], meta["name"])
        written = await self._api.patch_status(ref, meta["resourceVersion"], {**told, **removed})
        if written is None:
            return
        for transition in events.transitions(old, told):
            await self._tell(body, transition)

    async def _tell(self, body: Body, transition: events.Transition) -> None:
        meta = body["metadata"]
        log.info("transition", pipeline=f"{meta['namespace']}/{meta['name']}", **transition._asdict())
        try:
            await self._api.create(names.EVENT, events.build_event(body, transition, self._clock(), self._instance))
        except ApiError as lost:
            # An event is news; the status that it tells of is stored.
            log.info("event not posted", error=str(lost))

    def _forget(self, key: Key) -> Again:
        self._applier.forget(key)
        self.look_again(key)
        return DONE
