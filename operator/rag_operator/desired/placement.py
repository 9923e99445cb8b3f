"""What a `podTemplate` adds to pods: labels, variables, places. Pure: what is ours always wins."""

from __future__ import annotations

from collections.abc import Mapping

from rag_operator import names
from rag_operator.desired.common import Body, template_annotations
from rag_operator.spec import RagPipeline
from rag_operator.spec.fields import Model
from rag_operator.spec.placement import PodTemplate


def pod_metadata(app: RagPipeline, component: str, template: PodTemplate, config_hash: str) -> Body:
    return {
        "labels": {**template.labels, **names.labels(app.name, component)},
        "annotations": {**template.annotations, **template_annotations(app, config_hash)},
    }


def pod_placement(app: RagPipeline, component: str, template: PodTemplate) -> Body:
    """The fields of a pod's spec that say where it runs and as whom; what is left out is not there."""
    ours = {"matchLabels": names.selector(app.name, component)}
    spreads = [{**_given(spread), "labelSelector": ours} for spread in template.topology_spread_constraints]
    found = {
        "serviceAccountName": account_name(app, component),
        "affinity": template.affinity or _apart(ours),
        "nodeSelector": dict(template.node_selector),
        "tolerations": [_given(toleration) for toleration in template.tolerations],
        "topologySpreadConstraints": spreads,
        "priorityClassName": template.priority_class_name,
        "imagePullSecrets": [_given(secret) for secret in template.image_pull_secrets],
    }
    return {name: value for name, value in found.items() if value}


def extra_variables(template: PodTemplate) -> list[Body]:
    return [_given(variable) for variable in template.extra_env]


def account_name(app: RagPipeline, component: str) -> str:
    return app.name if component == names.RUNTIME else names.qdrant(app.name)


def _apart(ours: Mapping[str, object]) -> Body:
    """Pods of one component rather not on one node; only a preference, for a small cluster has but one."""
    term = {"labelSelector": ours, "topologyKey": "kubernetes.io/hostname"}
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
        }
    }


def _given(model: Model) -> Body:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
