"""Every field of the resource, and for each two specs that differ in nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rag_operator import crd

FULL = yaml.safe_load((Path(__file__).parents[1] / "examples/full.yaml").read_text())["spec"]
REFERENCE = {"name": "shared-qdrant", "key": "token"}
# What the full example cannot have beside the rest.
OTHERS: tuple[dict[str, Any], ...] = (
    {"replicas": 3},
    {"vectorStore": {"external": {"url": "https://q.example:6333", "apiKeySecretRef": REFERENCE}}},
    {"vectorStore": {"embedded": {"storage": {"size": "20Gi", "storageClassName": "fast"}}}},
    {"probes": {name: dict.fromkeys(("initialDelaySeconds", "periodSeconds"), 7) for name in ("startup", "readiness")}},
    {"probes": {name: dict.fromkeys(("timeoutSeconds", "failureThreshold"), 7) for name in ("startup", "readiness")}},
    {"access": {"allowedFrom": [{"podLabels": {"app": "importer"}}]}},
    *(
        {"podTemplate": template, "vectorStore": {"managed": {"podTemplate": template}}}
        for template in (
            FULL["podTemplate"],
            {
                "tolerations": [{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 9}],
                "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
                "extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": REFERENCE}}],
            },
            {"extraEnv": [{"name": "A", "valueFrom": {"configMapKeyRef": REFERENCE}}]},
        )
    ),
)
Steps = tuple[str, ...]


def leaves(schema: dict[str, Any], path: Steps = ()) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """Every field without fields of its own."""
    for name, child in schema.get("properties", {}).items():
        inner = child.get("items", child)
        if "properties" in inner:
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), child


SCHEMA = crd.build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
LEAVES = dict(leaves(SCHEMA))


def holder(fields: Any, path: Steps) -> dict[str, Any] | None:
    """What has the last part of the path in it, of lists the first entry; None where it has not."""
    for part in path[:-1]:
        fields = fields[0] if isinstance(fields, list) and fields else fields
        fields = fields.get(part) if isinstance(fields, dict) else None
    fields = fields[0] if isinstance(fields, list) and fields else fields
    return fields if isinstance(fields, dict) and path[-1] in fields else None


def other(value: Any, schema: dict[str, Any]) -> Any:
    """Another value that is allowed."""
    if "enum" in schema:
        return next(each for each in schema["enum"] if each != value)
    if schema.get("x-kubernetes-int-or-string"):
        return "123Gi"
    match value:
        case bool():
            found: Any = not value
        case int() | float():
            found = value + 1 if value + 1 <= schema.get("maximum", value + 1) else (value + schema["minimum"]) / 2
        case dict() | list():
            found = type(value)()
        case _:
            found = f"x{value}"
    return found


def pair(path: Steps) -> tuple[dict[str, Any], dict[str, Any]]:
    """A spec that has the field, and the same with another value of it."""
    base = next((fields for fields in (FULL, *OTHERS) if holder(fields, path)), None)
    assert base, "no example has this field: give it a value in examples/full.yaml"
    changed = copy.deepcopy(base)
    found = holder(changed, path)
    assert found
    found[path[-1]] = other(found[path[-1]], LEAVES[path])
    return base, changed
