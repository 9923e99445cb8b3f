"""Judge what was observed: ordered checks, from causes to effects. Pure: no client, no clock, no kopf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rag_operator import names, pods, truth
from rag_operator.spec import EmbeddedStore, ManagedStore, RagPipeline
from rag_operator.state import (
    Binding,
    Condition,
    Observed,
    Probed,
    Problem,
    Reason,
    Status,
    Version,
    Workload,
)

READY, SECRETS, STORE, RUNTIME, UPDATED = "Ready", "SecretsResolved", "VectorStoreReady", "RuntimeReady", "Updated"
ANSWERING, PAUSED = truth.ANSWERING, "ReconciliationPaused"
PAUSE_MESSAGE = f'nothing is changed while annotation {names.ANNOTATION_PAUSE} is "true": remove it to go on'
# While one of these stands, what runs is not what is declared, however well it runs.
BLOCKING = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.NAME_CONFLICT,
        Reason.FORBIDDEN,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_MISSING,
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is judged. `missing` is what the Secrets lack, `refused` what the API server did not accept.

    `probed` is what the runtime answered, where somebody is `asking`. `stale`: the spec changed during the pause.
    """

    seen: Observed
    now: datetime
    missing: Problem | None = None
    refused: Problem | None = None
    was_ready: bool = False
    was_updated: bool = False
    store_was_ready: bool = False
    probed: Probed | None = None
    asking: bool = False
    paused: bool = False
    stale: bool = False


Check = Callable[[RagPipeline, Facts], Problem | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition before it has a time."""

    status: str
    reason: Reason
    message: str


def secrets_missing(_: RagPipeline, facts: Facts) -> Problem | None:
    return facts.missing


def objects_refused(_: RagPipeline, facts: Facts) -> Problem | None:
    return facts.refused


def suspended(app: RagPipeline, _: Facts) -> Problem | None:
    if not app.spec.suspend:
        return None
    return Problem(Reason.SUSPENDED, "its pods are stopped and its data is kept: set spec.suspend to false to go on")


def changes_wait(_: RagPipeline, facts: Facts) -> Problem | None:
    if not facts.stale:
        return None
    return Problem(Reason.PAUSED, f"the spec was changed during the pause: {PAUSE_MESSAGE}")


def not_answering(_: RagPipeline, facts: Facts) -> Problem | None:
    return truth.not_answering(facts.probed)


def store_not_ready(app: RagPipeline, facts: Facts) -> Problem | None:
    if not isinstance(app.store, ManagedStore):
        return None
    ready = facts.seen.qdrant.ready if facts.seen.qdrant else 0
    wanted = app.store_replicas
    if ready >= wanted:
        return None
    counted = f"{ready} of {wanted} Qdrant pods are ready"
    stuck = pods.first_problem(app, facts.seen, names.QDRANT, facts.now)
    if stuck:
        return Problem(stuck.reason, f"{counted}: {stuck.message}")
    if facts.store_was_ready:
        look = f"kubectl get pods -n {app.namespace} -l {names.LABEL_INSTANCE}={app.name}"
        return Problem(Reason.VECTOR_STORE_UNAVAILABLE, f"{counted}: {look}")
    return Problem(Reason.PROGRESSING, counted)


def runtime_not_ready(app: RagPipeline, facts: Facts) -> Problem | None:
    workload = facts.seen.runtime or Workload(wanted=app.replicas, settled=False)
    if workload.ready >= app.replicas:
        return None
    counted = f"{workload.ready} of {app.replicas} runtime pods are ready"
    stuck = _refusal(workload) or pods.first_problem(app, facts.seen, names.RUNTIME, facts.now)
    if stuck:
        return Problem(stuck.reason, f"{counted}: {stuck.message}")
    reason = Reason.NOT_ENOUGH_REPLICAS if workload.ready or facts.was_ready else Reason.PROGRESSING
    return Problem(reason, counted)


def pods_outdated(app: RagPipeline, facts: Facts) -> Problem | None:
    runtime = facts.seen.runtime
    # How many an autoscaler wants, only the Deployment knows.
    parts = [(names.RUNTIME, runtime, runtime.wanted if runtime and app.autoscaling else app.replicas)]
    if isinstance(app.store, ManagedStore):
        parts.append((names.QDRANT, facts.seen.qdrant, app.store_replicas))
    for component, workload, wanted in parts:
        if workload and _is_rolled_out(workload, wanted, facts):
            continue
        counted = _counted(workload, wanted, component)
        stuck = pods.first_problem(app, facts.seen, component, facts.now)
        return Problem(stuck.reason, f"{counted}: {stuck.message}") if stuck else Problem(Reason.PROGRESSING, counted)
    return None


def _counted(workload: Workload | None, wanted: int, component: str) -> str:
    """How many are new and ready is nowhere told: at least as many as are left when no old one is unready."""
    ready = max(0, workload.updated + workload.ready - workload.replicas) if workload and workload.settled else 0
    if workload and ready >= wanted:
        return f"{workload.replicas - workload.updated} {component} pods of before are still there"
    return f"{ready} of {wanted} {component} pods are ready as declared"


# The first problem is reported, so causes stand before their effects.
READINESS: tuple[Check, ...] = (
    secrets_missing,
    objects_refused,
    suspended,
    store_not_ready,
    runtime_not_ready,
    not_answering,
)
UPDATE: tuple[Check, ...] = (secrets_missing, objects_refused, changes_wait, pods_outdated)
SERVICE: tuple[Check, ...] = (suspended, store_not_ready, runtime_not_ready, not_answering)


def first_problem(checks: tuple[Check, ...], app: RagPipeline, facts: Facts) -> Problem | None:
    return next((problem for check in checks if (problem := check(app, facts))), None)


def evaluate(app: RagPipeline, facts: Facts, old: Mapping[str, Any], version: str) -> Status:
    """The whole status of a pipeline whose spec could be read."""
    runtime = facts.seen.runtime
    selector = ",".join(f"{name}={value}" for name, value in names.selector(app.name, names.RUNTIME).items())
    return Status(
        observed_generation=app.generation,
        replicas=runtime.replicas if runtime else 0,
        ready_replicas=runtime.ready if runtime else 0,
        selector=selector,
        url=app.url,
        image=app.image,
        model=app.spec.embedding.dense.model,
        points=_points(facts, old),
        version=Version(operator=version),
        binding=Binding(name=names.client(app.name)),
        conditions=_conditions(_verdicts(app, facts), old, app.generation, facts.now),
    )


def as_before_the_pause(new: Status, old: Mapping[str, Any]) -> Status:
    """What runs is what was declared then."""
    kept = {name: old.get(name) for name in ("url", "image", "model")}
    return new.model_copy(update={name: value for name, value in kept.items() if value is not None})


def halted(problem: Problem, old: Mapping[str, Any], generation: int, now: datetime) -> Status:
    """The status of a pipeline that is not worked on: it keeps what was known, but is neither ready nor updated."""
    verdict = Verdict("False", problem.reason, problem.message)
    kept = Status.model_validate({**old, "conditions": []})
    changed = {
        condition.type: condition for condition in _conditions({READY: verdict, UPDATED: verdict}, old, generation, now)
    }
    before = [Condition.model_validate(condition) for condition in old.get("conditions") or []]
    rest = tuple(condition for condition in before if condition.type not in changed)
    return kept.model_copy(
        update={"observed_generation": generation, "conditions": (changed[READY], *rest, changed[UPDATED])}
    )


def recall(seen: Observed, now: datetime, old: Mapping[str, Any], generation: int) -> Facts:
    """The facts, with what the last status says of the past: a reason may be one that only what once held fails for."""
    before = {condition["type"]: condition for condition in old.get("conditions") or []}

    def held(type_: str, *reasons: Reason) -> bool:
        found = before.get(type_, {})
        return found.get("status") == "True" or found.get("reason") in reasons

    update = before.get(UPDATED, {})
    same = update.get("observedGeneration") == generation
    return Facts(
        seen=seen,
        now=now,
        was_ready=held(RUNTIME, Reason.NOT_ENOUGH_REPLICAS),
        was_updated=same and held(UPDATED),
        store_was_ready=held(STORE, Reason.VECTOR_STORE_UNAVAILABLE),
        # Once the spec has changed during a pause, that is so until its end, however often it is looked at.
        stale=not same or update.get("reason") == Reason.PAUSED,
    )


def _verdicts(app: RagPipeline, facts: Facts) -> dict[str, Verdict]:
    readiness = first_problem(READINESS, app, facts)
    update = first_problem(UPDATE, app, facts)
    pause = {PAUSED: Verdict("True", Reason.PAUSED, PAUSE_MESSAGE)} if facts.paused else {}
    return {
        READY: _summary(app, facts, readiness, update),
        SECRETS: _verdict(facts.missing, "every Secret that the spec names is there"),
        STORE: _store_verdict(app, facts),
        RUNTIME: _verdict(suspended(app, facts) or runtime_not_ready(app, facts), _serving(app)),
        ANSWERING: _answering(app, facts),
        UPDATED: _verdict(update, "everything is as declared"),
        **pause,
    }


def _summary(app: RagPipeline, facts: Facts, readiness: Problem | None, update: Problem | None) -> Verdict:
    """Old pods that go on serving while new ones cannot start are ready, and the message says what holds."""
    serving = first_problem(SERVICE, app, facts) is None
    if readiness and (readiness.reason in BLOCKING or not serving):
        return _verdict(readiness, "")
    if update:
        return Verdict("True", update.reason, f"{_serving(app)}; not yet as declared: {update.message}")
    if full := truth.disk_nearly_full(facts.probed):
        return Verdict("True", full.reason, f"{_serving(app)}; {full.message}")
    if facts.paused:
        return Verdict("True", Reason.PAUSED, f"{_serving(app)}; {PAUSE_MESSAGE}")
    return _verdict(None, _serving(app))


def _answering(app: RagPipeline, facts: Facts) -> Verdict:
    if problem := suspended(app, facts):
        return _verdict(problem, "")
    if not (facts.seen.runtime and facts.seen.runtime.ready):
        return _verdict(runtime_not_ready(app, facts), "")
    if unknown := truth.unknown(facts.probed, asking=facts.asking):
        return Verdict("Unknown", unknown.reason, unknown.message)
    return _verdict(not_answering(app, facts), "a question finds its way to the index and back")


def _points(facts: Facts, old: Mapping[str, Any]) -> int | None:
    """What nobody could count since is as it was."""
    counted = facts.probed.points if facts.probed else None
    return old.get("points") if counted is None else counted


def _store_verdict(app: RagPipeline, facts: Facts) -> Verdict:
    """Of a store that the operator does not run, all it knows is what the runtime's readiness says."""
    if stopped := suspended(app, facts):
        return _verdict(stopped, "")
    full = truth.disk_nearly_full(facts.probed)
    if full and store_not_ready(app, facts) is None:
        return Verdict("True", full.reason, full.message)
    if isinstance(app.store, ManagedStore):
        ready = f"{app.store_replicas} of {app.store_replicas} Qdrant pods are ready"
        return _verdict(store_not_ready(app, facts), ready)
    where = "the runtime's own volume" if isinstance(app.store, EmbeddedStore) else app.store.url
    if facts.seen.runtime and facts.seen.runtime.ready > 0:
        return _verdict(None, f"the runtime reaches its store ({where})")
    return Verdict("Unknown", Reason.PROGRESSING, f"no runtime pod is ready to tell of its store ({where})")


def _verdict(problem: Problem | None, otherwise: str) -> Verdict:
    if problem:
        return Verdict("False", problem.reason, problem.message)
    return Verdict("True", Reason.RECONCILED, otherwise)


def _serving(app: RagPipeline) -> str:
    return f"{app.replicas} of {app.replicas} runtime pods are ready"


def _is_rolled_out(workload: Workload, wanted: int, facts: Facts) -> bool:
    """A roll-out ends when the new pods are ready; one that is lost later makes it no less complete."""
    complete = workload.settled and workload.updated == workload.replicas == wanted
    return complete and (facts.was_updated or workload.ready >= wanted)


def _refusal(workload: Workload) -> Problem | None:
    if not workload.refused:
        return None
    quota = "exceeded quota" in workload.refused
    return Problem(Reason.QUOTA_EXCEEDED if quota else Reason.FORBIDDEN, workload.refused[:400])


def _conditions(
    verdicts: Mapping[str, Verdict], old: Mapping[str, Any], generation: int, now: datetime
) -> tuple[Condition, ...]:
    before = {condition["type"]: condition for condition in old.get("conditions") or []}
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return tuple(
        Condition.model_validate(
            {
                "type": type_,
                "status": verdict.status,
                "reason": verdict.reason.value,
                "message": verdict.message,
                "observedGeneration": generation,
                "lastTransitionTime": before[type_]["lastTransitionTime"]
                if type_ in before and before[type_]["status"] == verdict.status
                else moment,
            }
        )
        for type_, verdict in verdicts.items()
    )
