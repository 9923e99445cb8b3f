"""What several blocks are made of: the base model, CEL rules, quantities, references, volumes, probes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from rag_operator import quantities


class Model(BaseModel):
    """Unknown fields are let be: the API server prunes them, and a newer CRD must not stop an older operator."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def rule(expression: str, message: str, *, field: str = "") -> dict[str, Any]:
    """A CEL rule. A message that begins with a quote is an expression itself, so that it can show the value."""
    kind = "messageExpression" if message.startswith("'") else "message"
    path = {"fieldPath": field} if field else {}
    return {"rule": expression, kind: message, **path}


def ruled(*rules: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": list(rules)})


Quantity = Annotated[
    str,
    BeforeValidator(str),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "x-kubernetes-validations": [
                rule(
                    "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
                    "'\"' + string(self) + '\" is not a quantity above 0: write it like 500m, 2 or 4Gi'",
                )
            ],
        }
    ),
]
Quantities = Annotated[dict[str, Quantity], Field(json_schema_extra={"maxProperties": 16})]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
ModelName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^\S+$")]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s:@][^\s]*$")]
Tokens = Annotated[int, Field(ge=32, le=8192)]
Seconds = Annotated[int, Field(ge=1, le=3600)]


class Resources(Model):
    model_config = ruled(
        rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
            "!isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) || "
            "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "a request is above its limit: lower resources.requests or raise resources.limits",
        )
    )
    requests: Quantities = Field({}, description="What a pod is promised, by resource name.")
    limits: Quantities = Field({}, description="What a pod may use at most, by resource name.")

    def filled(self, default: Resources) -> Resources:
        """What was left out comes from `default`; a default limit gives way to a higher request."""
        requests = {**default.requests, **self.requests}
        limits = {**default.limits, **self.limits}
        for name in requests.keys() & limits.keys():
            if quantities.parse(requests[name]) <= quantities.parse(limits[name]):
                continue
            if name in self.requests:
                limits[name] = requests[name]
            else:
                requests[name] = limits[name]
        return Resources(requests=requests, limits=limits)


class SecretKeyRef(Model):
    """One value in a Secret of the pipeline's own namespace."""

    name: ObjectName = Field(description="The Secret's name, in the pipeline's own namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        description="The key within the Secret."
    )


class SecretRef(Model):
    """A whole Secret of the pipeline's own namespace."""

    name: ObjectName = Field(description="The Secret's name, in the pipeline's own namespace.")


class Storage(Model):
    model_config = ruled(
        rule(
            "!isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size)) || "
            "quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
            "'size cannot shrink from ' + string(oldSelf.size) + ' to ' + string(self.size) + "
            "': volumes only grow; keep the size, or make a new pipeline and ingest anew'",
            field=".size",
        ),
        rule(
            "has(self.storageClassName) == has(oldSelf.storageClassName) && "
            "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
            "storageClassName cannot change while the volume exists: make a new pipeline and ingest anew",
        ),
    )
    size: Quantity = Field("50Gi", description="The volume's size.")
    storage_class_name: ObjectName | None = Field(
        None, description="The storage class; left out, the cluster's default."
    )


class Probe(Model):
    """Numbers of a probe; what is left out keeps its default."""

    initial_delay_seconds: Annotated[int, Field(ge=0, le=3600)] | None = Field(
        None, description="Before the first try."
    )
    period_seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(None, description="Between two tries.")
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(None, description="For one try.")
    failure_threshold: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="Failures in a row that count."
    )


class Probes(Model):
    startup: Probe = Field(Probe(), description="Until it succeeds no other probe runs: 0, 5, 5, 120.")
    liveness: Probe = Field(Probe(), description="Restarts a pod: 60, 30, 10, 3.")
    readiness: Probe = Field(Probe(), description="Takes a pod out of the Service: 30, 10, 5, 3.")
