"""How many pods, and how few: the HorizontalPodAutoscaler and the PodDisruptionBudgets. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.spec import RagPipeline
from rag_operator.spec.placement import Autoscaling
from rag_operator.state import Observed


def build_scaling(app: RagPipeline) -> Iterator[Body]:
    if app.autoscaling:
        yield _autoscaler(app, app.autoscaling)
    # With a single pod a budget would only stop a node from being drained.
    if app.replicas > 1:
        yield _budget(app, app.name, names.RUNTIME)
    if app.store_replicas > 1:
        yield _budget(app, names.qdrant(app.name), names.QDRANT)


def build_handover(app: RagPipeline, seen: Observed) -> Body | None:
    """The number of pods that there are, for another field manager to hold.

    A Deployment that loses the only owner of its `replicas` falls back to one pod, and from none an autoscaler does not
    start at all: so before we let go of the number, somebody else has it.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
    """
    if app.autoscaling is None or seen.runtime is None or not seen.runtime.replicas_are_ours:
        return None
    least, most = app.autoscaling.min_replicas, app.autoscaling.max_replicas
    return {
        "apiVersion": names.DEPLOYMENT.api_version,
        "kind": names.DEPLOYMENT.name,
        "metadata": {"name": app.name, "namespace": app.namespace},
        "spec": {"replicas": min(max(seen.runtime.wanted, least), most)},
    }


def _autoscaler(app: RagPipeline, wanted: Autoscaling) -> Body:
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu}
    spec = {
        "scaleTargetRef": {"apiVersion": names.DEPLOYMENT.api_version, "kind": names.DEPLOYMENT.name, "name": app.name},
        "minReplicas": wanted.min_replicas,
        "maxReplicas": wanted.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return build_object(names.AUTOSCALER, app, app.name, names.RUNTIME, spec=spec)


def _budget(app: RagPipeline, name: str, component: str) -> Body:
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": names.selector(app.name, component)},
    }
    return build_object(names.DISRUPTION_BUDGET, app, name, component, spec=spec)
