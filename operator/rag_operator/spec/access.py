"""The blocks that say who reaches the runtime, and how: keys, limits, TLS, callers, Service and Ingress."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rag_operator.spec.fields import Model, ObjectName, Seconds, SecretRef, rule
from rag_operator.spec.placement import Labels

Origin = Annotated[str, Field(max_length=253, pattern=r"^(\*|https?://[^/\s,]+)$")]
Host = Annotated[
    str,
    Field(
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$",
    ),
]


class RateLimit(Model):
    requests: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        100, description="Requests that one key may make in a window, in each pod; 0 is no limit."
    )
    window_seconds: Seconds = Field(60, description="The window's length.")


class Tls(Model):
    secret_ref: SecretRef = Field(
        description="A Secret with tls.crt and tls.key, such as cert-manager makes. A renewed one is read again "
        "without a restart."
    )


class Caller(Model):
    """Pods that may ask."""

    namespace: Annotated[ObjectName, Field(max_length=63)] | None = Field(
        None, description="Where the pods are; left out, in the pipeline's own namespace."
    )
    pod_labels: Labels = Field({}, description="Which pods, by their labels; left out, all of the namespace.")


class Access(Model):
    api_key_required: bool = Field(True, description="Whether requests need one of the pipeline's keys.")
    rate_limit: RateLimit = Field(RateLimit(), description="How much one caller may ask.")
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=50)] = Field(
        (), description="Origins of web pages that may call the runtime: scheme://host[:port], or *."
    )
    tls: Tls | None = Field(None, description="TLS at the runtime itself; left out, it speaks plain HTTP.")
    allowed_from: Annotated[tuple[Caller, ...], Field(max_length=32)] = Field(
        (),
        description="Pods that may reach the runtime, and no others, the operator and Prometheus aside: name the pods "
        "of an Ingress controller too. Left out, everyone may. The store is only ever reached by the pipeline's pods.",
    )


class Service(Model):
    type: Literal["ClusterIP", "LoadBalancer"] = Field("ClusterIP", description="Whether it is reached from outside.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(80, description="The Service's port.")


class Ingress(Model):
    host: Host = Field(description="The host name that it is reached by.")
    class_name: ObjectName | None = Field(None, description="The IngressClass; left out, the cluster's default.")
    tls_secret_ref: SecretRef | None = Field(
        None, description="A Secret with the host's certificate, for the Ingress controller; left out, plain HTTP."
    )
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]], Field(json_schema_extra={"maxProperties": 64})
    ] = Field({}, description="Annotations for the Ingress controller and the like.")


# No NodePort, no Ingress to nobody: what a LoadBalancer's callers are, no NetworkPolicy of pods can say.
OUTSIDE_AND_LIMITED = rule(
    "self.service.type != 'LoadBalancer' || !has(self.access.allowedFrom) || size(self.access.allowedFrom) == 0",
    "access.allowedFrom names pods, and a LoadBalancer's callers are none, so it would let nobody in: leave "
    "access.allowedFrom out, or set service.type to ClusterIP",
    field=".access.allowedFrom",
)
