"""How many pods there are, where they run, and what they bear: scaling, and the blocks that add to pod templates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from rag_operator import variables
from rag_operator.spec.fields import Model, ObjectName, SecretKeyRef, SecretRef, rule, ruled

LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Labels = Annotated[dict[str, LabelValue], Field(json_schema_extra={"maxProperties": 32})]
Free = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]

OUR_LABELS = rule(
    "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('ragops.dev/'))",
    "labels under app.kubernetes.io/ and ragops.dev/ are the operator's own: choose another key",
)
# The annotations of before securityContext still loosen it: https://kubernetes.io/docs/concepts/security/
OUR_ANNOTATIONS = rule(
    "self.all(key, !key.startsWith('ragops.dev/') && !key.contains('apparmor.security.') && "
    "!key.contains('seccomp.security.'))",
    "annotations under ragops.dev/ are the operator's own, and those of apparmor.security and seccomp.security would "
    "loosen the pods' restrictions: leave them out",
)


class Autoscaling(Model):
    """A HorizontalPodAutoscaler in place of a fixed number of pods."""

    model_config = ruled(
        rule(
            "self.minReplicas <= self.maxReplicas",
            "'minReplicas %d is above maxReplicas %d: lower minReplicas or raise maxReplicas'"
            ".format([self.minReplicas, self.maxReplicas])",
            field=".minReplicas",
        )
    )
    min_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(2, description="Runtime pods at least.")
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="Runtime pods at most.")
    target_cpu: Annotated[int, Field(ge=1, le=200)] = Field(
        70,
        alias="targetCPUUtilizationPercentage",
        description="The use of CPU that is aimed at, in percent of what resources.requests promises.",
    )


class Toleration(Model):
    key: Annotated[str, Field(max_length=316)] | None = Field(None, description="The taint's key; left out, any.")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="How the key relates to the value.")
    value: LabelValue | None = Field(None, description="The taint's value, with operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="The taint's effect; left out, any."
    )
    toleration_seconds: Annotated[int, Field(ge=0)] | None = Field(
        None, description="How long a NoExecute taint is tolerated; left out, for ever."
    )


class Spread(Model):
    """A topologySpreadConstraint; the pods that it counts are the component's own."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="By how many pods two domains may differ.")
    topology_key: Annotated[str, Field(min_length=1, max_length=316)] = Field(
        description="The nodes' label that makes a domain, such as topology.kubernetes.io/zone."
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        "ScheduleAnyway", description="What becomes of a pod that would break it."
    )


class ConfigMapKeyRef(Model):
    """One value in a ConfigMap of the pipeline's own namespace."""

    name: ObjectName = Field(description="The ConfigMap's name, in the pipeline's own namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="The key within the ConfigMap."
    )


class ValueFrom(Model):
    model_config = ruled(
        rule(
            "has(self.secretKeyRef) != has(self.configMapKeyRef)",
            "a value comes from one place: keep secretKeyRef or configMapKeyRef",
        )
    )
    secret_key_ref: SecretKeyRef | None = Field(None, description="A Secret that it is in.")
    config_map_key_ref: ConfigMapKeyRef | None = Field(None, description="A ConfigMap that it is in.")


class ExtraVariable(Model):
    model_config = ruled(
        rule(
            f"!(self.name in {sorted(variables.RUNTIME | variables.QDRANT)})",
            "'name ' + self.name + ' is set by the operator: use the field of spec that stands for it'",
            field=".name",
        ),
        rule("!has(self.value) || !has(self.valueFrom)", "a variable has one value: keep value or valueFrom"),
    )
    name: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        description="The variable's name. Those that the operator sets are refused."
    )
    value: Annotated[str, Field(max_length=4096)] | None = Field(None, description="Its value; no place for a secret.")
    value_from: ValueFrom | None = Field(None, description="Where its value is.")


class PodTemplate(Model):
    """What is added to a component's pods. Nothing here can take them out of the `restricted` standard."""

    labels: Annotated[Labels, Field(json_schema_extra={"x-kubernetes-validations": [OUR_LABELS]})] = Field(
        {}, description="Labels of the pods."
    )
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(json_schema_extra={"maxProperties": 32, "x-kubernetes-validations": [OUR_ANNOTATIONS]}),
    ] = Field({}, description="Annotations of the pods.")
    node_selector: Labels = Field({}, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        (), description="Taints of nodes that are put up with."
    )
    affinity: Free | None = Field(
        None,
        description="As in a pod's own spec: nodeAffinity, podAffinity, podAntiAffinity. Left out, pods of the same "
        "component prefer different nodes.",
    )
    topology_spread_constraints: Annotated[tuple[Spread, ...], Field(max_length=8)] = Field(
        (), description="How evenly the pods are spread over zones or nodes."
    )
    priority_class_name: ObjectName | None = Field(None, description="The pods' PriorityClass.")
    image_pull_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=16)] = Field(
        (), description="Secrets with which the images are pulled."
    )
    extra_env: Annotated[
        tuple[ExtraVariable, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field((), description="Variables beside those that the operator sets, such as OTEL_EXPORTER_OTLP_ENDPOINT.")
    service_account_annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]], Field(json_schema_extra={"maxProperties": 32})
    ] = Field({}, description="Annotations of the pods' ServiceAccount, such as a cloud's role.")
