"""Why a component's pods do not run: ordered checks, from causes to effects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from rag_operator import names
from rag_operator.spec import RagPipeline
from rag_operator.state import Observed, PodState, Problem, Reason

PULL_FAILURES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
# A container that ended this often does not merely start: between two crashes it also runs for a while.
CRASHES = 2
# With which the runtime ends when the index was made with other settings, or is another's.
EXIT_INDEX_MISMATCH = 3

Check = Callable[[RagPipeline, str, PodState], Problem | None]


def unschedulable(app: RagPipeline, pod: str, state: PodState) -> Problem | None:
    if state.unschedulable is None:
        return None
    return Problem(Reason.UNSCHEDULABLE, f"no node takes pod {pod}: {state.unschedulable or _look(app, pod)}")


def image_pull_failed(app: RagPipeline, pod: str, state: PodState) -> Problem | None:
    if state.waiting not in PULL_FAILURES:
        return None
    return Problem(
        Reason.IMAGE_PULL_FAILED,
        f'image "{state.image}" cannot be pulled: check its name and the right to pull it: {_look(app, pod)}',
    )


def secret_not_found(app: RagPipeline, pod: str, state: PodState) -> Problem | None:
    if state.waiting != "CreateContainerConfigError" or "secret" not in state.message.lower():
        return None
    return Problem(Reason.SECRET_NOT_FOUND, f"pod {pod} waits: {state.message}: {_look(app, pod)}")


def index_mismatch(app: RagPipeline, pod: str, state: PodState) -> Problem | None:
    if state.component != names.RUNTIME or state.ready or state.exit_code != EXIT_INDEX_MISMATCH:
        return None
    return Problem(
        Reason.INDEX_MISMATCH,
        f"pod {pod} refuses the index: {state.last_words or f'kubectl logs -n {app.namespace} {pod} --previous'}",
    )


def crash_looping(app: RagPipeline, pod: str, state: PodState) -> Problem | None:
    if state.ready or (state.waiting != "CrashLoopBackOff" and state.restarts < CRASHES):
        return None
    if state.out_of_memory:
        field = "spec.vectorStore.managed.resources" if state.component == names.QDRANT else "spec.resources"
        return Problem(
            Reason.CRASH_LOOPING,
            f"pod {pod} is ended again and again for using more memory than its limit: raise {field}.limits.memory",
        )
    code = "" if state.exit_code is None else f" with exit code {state.exit_code}"
    said = f' and says "{state.last_words}"' if state.last_words else ""
    return Problem(
        Reason.CRASH_LOOPING,
        f"pod {pod} ends again and again{code}{said}: kubectl logs -n {app.namespace} {pod} --previous",
    )


POD_CHECKS: tuple[Check, ...] = (unschedulable, image_pull_failed, secret_not_found, index_mismatch, crash_looping)


def first_problem(app: RagPipeline, seen: Observed, component: str, now: datetime) -> Problem | None:
    """The first problem of any pod that is not ready; a volume that cannot be made stands before all of them."""
    waiting = {name: pod for name, pod in seen.pods.items() if pod.component == component and not _is_fine(pod)}
    if problem := _no_storage_class(seen, component):
        return problem
    for check in POD_CHECKS:
        for name, pod in waiting.items():
            if problem := check(app, name, pod):
                return problem
    return _probe_failing(app, waiting, now)


def probe_grace_seconds(app: RagPipeline) -> int:
    """How long a started runtime pod may be unready before its readiness probe has failed."""
    probe = app.spec.probes.readiness
    delay = 30 if probe.initial_delay_seconds is None else probe.initial_delay_seconds
    return delay + (probe.period_seconds or 10) * (probe.failure_threshold or 3)


def _no_storage_class(seen: Observed, component: str) -> Problem | None:
    for name, claim in seen.claims.items():
        if claim.component == component and not claim.bound and not claim.storage_class:
            return Problem(
                Reason.NO_STORAGE_CLASS,
                f"volume claim {name} names no storage class, and the cluster has no default: name one in a new "
                "pipeline's storageClassName, or mark a default (kubectl get storageclass)",
            )
    return None


def _probe_failing(app: RagPipeline, waiting: Mapping[str, PodState], now: datetime) -> Problem | None:
    for name, pod in waiting.items():
        # The start itself, which has a probe of its own, may have taken long: its end was news of the kubelet's.
        since = max(pod.running_since or "", pod.reported_at or "")
        if not pod.started or not since:
            continue
        if (now - datetime.fromisoformat(since)).total_seconds() > probe_grace_seconds(app):
            return Problem(Reason.PROBE_FAILING, f"pod {name} runs but is not ready: {_look(app, name)}")
    return None


def _is_fine(pod: PodState) -> bool:
    return pod.ready or pod.leaving


def _look(app: RagPipeline, pod: str) -> str:
    return f"kubectl describe pod -n {app.namespace} {pod}"
