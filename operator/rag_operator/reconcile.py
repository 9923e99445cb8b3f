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
from rag_operator.probe import Prober, Target
from rag_operator.queue import DONE, RETRY, Again
from rag_operator.spec import RagPipeline, Release
from rag_operator.state import Inputs, Observed, Problem, Reason, Status

Body = dict[str, Any]
Version = tuple[int, str | None]

# Pods that run but are not ready become a failure by the passing of time alone, which no watch tells.
UNREADY_SECONDS = 30.0

log = structlog.get_logger()


class Reconciler:
    def __init__(
        self,
        api: Client,
        children: Children,
        release: Release,
        clock: Callable[[], datetime],
        *,
        instance: str,
        prober: Prober | None = None,
        overlap_seconds: float = 3600,
    ) -> None:
        self._api = api
        self._children = children
        self._release = release
        self._clock = clock
        self._instance = instance
        self._applier = Applier(api, children)
        self._prober = prober
        self._overlap_seconds = overlap_seconds
        self._inputs: dict[Key, tuple[Version, Inputs]] = {}

    def look_again(self, key: Key) -> None:
        """Let the next visit read the Secrets too, which no watch covers."""
        self._inputs.pop(key, None)

    async def visit(self, key: Key) -> Again:
        body = await self._api.get(Ref(names.PIPELINE, *key))
        if body is None:
            return self._forget(key)
        if "deletionTimestamp" in body["metadata"]:
            self._ask_no_more(key)
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
        refused = None if app.wishes.paused else await self._apply(app, inputs)
        seen = observe.read_children(self._children, app)
        self._ask(key, app, inputs, seen)
        old = body.get("status") or {}
        recalled = status.recall(seen, self._clock(), old, app.generation)
        paused = app.wishes.paused
        facts = replace(
            recalled,
            missing=inputs.problem,
            refused=refused,
            probed=self._prober.found(key) if self._prober else None,
            asking=self._prober is not None,
            paused=paused,
            stale=paused and recalled.stale,
        )
        new = status.evaluate(app, facts, old, self._release.version)
        await self._write(body, status.as_before_the_pause(new, old) if facts.stale else new)
        return self._again(key, app, inputs, refused, seen)

    async def _apply(self, app: RagPipeline, inputs: Inputs) -> Problem | None:
        plan = desired.build(app, inputs, observe.read_children(self._children, app))
        return await self._applier.apply(app, inputs, plan)

    def _ask(self, key: Key, app: RagPipeline, inputs: Inputs, seen: Observed) -> None:
        """Only a runtime that has a pod to answer; with keys that are stored."""
        if self._prober is None:
            return
        able = seen.runtime is not None and seen.runtime.ready > 0 and not app.spec.suspend
        self._prober.want(key, Target(app.url, inputs.keys.probe, inputs.certificate) if able else None)

    def _ask_no_more(self, key: Key) -> None:
        if self._prober:
            self._prober.want(key, None)

    def _again(self, key: Key, app: RagPipeline, inputs: Inputs, refused: Problem | None, seen: Observed) -> Again:
        if inputs.problem or refused:
            self.look_again(key)
            return RETRY
        next_step = inputs.keys.again_seconds
        if next_step is not None or any(body is None for body in inputs.own.values()):
            self.look_again(key)
        else:
            self._inputs[key] = (_version(app), inputs)
        unready = any(pod.started and not pod.ready for pod in seen.pods.values())
        pauses = [min(UNREADY_SECONDS, pods.probe_grace_seconds(app) + 1)] if unready else []
        pauses += [] if next_step is None else [max(1.0, next_step)]
        return Again(after_seconds=min(pauses)) if pauses else DONE

    async def _read_inputs(self, key: Key, app: RagPipeline) -> Inputs:
        version, inputs = self._inputs.get(key, (None, None))
        if inputs is not None and version == _version(app):
            return inputs
        return await observe.read_inputs(self._api, app, self._clock(), overlap_seconds=self._overlap_seconds)

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
        self._ask_no_more(key)
        self.look_again(key)
        return DONE


def _version(app: RagPipeline) -> Version:
    """Of all that the reading of Secrets depends on."""
    return app.generation, app.wishes.rotate_key
