"""The models as a CustomResourceDefinition: a structural schema, CEL rules, columns and subresources. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from rag_operator import names
from rag_operator.spec import Spec
from rag_operator.spec.fields import rule
from rag_operator.state import Status

JsonSchema = dict[str, Any]

NAME_RULE = rule(
    "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40",
    "'metadata.name \"' + self.metadata.name + '\" must be at most 40 characters, of a-z, 0-9 and -, "
    "beginning with a letter and not ending in -'",
)
# A Service of this name replaces, in the environment of every pod beside it, the address of the API server.
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
RESERVED_RULE = rule(
    "self.metadata.name != 'kubernetes'",
    "metadata.name kubernetes is that of the API server's Service: choose another",
)
# Fields of the models' JSON schema that an API server refuses or that only repeat a field's name.
UNWANTED = {"title", "$defs"}


def ready(part: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{part}'


COLUMNS = (
    ("Ready", "string", ready("status"), 0),
    ("Status", "string", ready("message"), 0),
    ("URL", "string", ".status.url", 0),
    ("Points", "integer", ".status.points", 0),
    ("Model", "string", ".status.model", 0),
    ("Last-Backup", "date", ".status.backup.lastSuccess", 0),
    ("Image", "string", ".status.image", 1),
    ("Replicas", "integer", ".status.replicas", 1),
    ("Index", "string", ".status.indexes[0].name", 1),
    ("Reason", "string", ready("reason"), 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)


def build_crd() -> JsonSchema:
    kind = names.PIPELINE
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": ["rp"],
                "categories": ["ragops"],
            },
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root_schema()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path, "priority": priority}
                        for name, type_, path, priority in COLUMNS
                    ],
                }
            ],
        },
    }


class Plain(yaml.SafeDumper):
    """YAML without anchors, which few readers of a CRD expect."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def build_yaml() -> str:
    text = yaml.dump(build_crd(), Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)
    return f"# Written by `make crds` from the models in operator/rag_operator/spec: change those.\n{text}"


def _root_schema() -> JsonSchema:
    spec = structural(Spec.model_json_schema())
    status = structural(Status.model_json_schema())
    # Whole, not {}: an API server checks a default against the rules before the fields' own defaults are in it.
    default = _without_nothing(Spec().model_dump(mode="json", by_alias=True)) | {"vectorStore": {}}
    status["properties"]["conditions"] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {
        "type": "object",
        "description": "A retrieval-augmented generation service: documents in, cited answers out.",
        "x-kubernetes-validations": [NAME_RULE, RESERVED_RULE],
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of this schema."},
            "kind": {"type": "string", "description": "RagPipeline."},
            "metadata": {"type": "object"},
            "spec": spec | {"description": "What is wanted. Every field has a default.", "default": default},
            "status": status | {"description": "What is. Written by the operator alone."},
        },
    }


def structural(schema: Mapping[str, Any]) -> JsonSchema:
    """A model's JSON schema as Kubernetes wants it: no references, no null, object defaults from their own fields."""
    return _node(schema, schema.get("$defs", {}))


def _node(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> JsonSchema:
    merged = _resolved(schema, definitions)
    node = {name: value for name, value in merged.items() if name not in UNWANTED and value is not None}
    if "properties" in node:
        node["properties"] = {name: _node(value, definitions) for name, value in node["properties"].items()}
    if "default" in node:
        node["default"] = _without_nothing(node["default"])
        # What has rules keeps an empty default, for they need something to judge.
        if node["default"] in ({}, []) and "x-kubernetes-validations" not in node:
            del node["default"]
    if "items" in node:
        node["items"] = _node(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), Mapping):
        node["additionalProperties"] = _node(node["additionalProperties"], definitions)
    return node


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> JsonSchema:
    """Follow references and take the one shape beside null; what stands nearer to the field wins."""
    node = dict(schema)
    if reference := node.pop("$ref", None):
        return _resolved(definitions[reference.rpartition("/")[2]], definitions) | node
    options = node.get("anyOf", [])
    if any(option == {"type": "null"} for option in options):
        (shape,) = (option for option in options if option != {"type": "null"})
        del node["anyOf"]
        return _resolved(shape, definitions) | node
    return node


def _without_nothing(value: Any) -> Any:
    """A default without what it leaves open."""
    if isinstance(value, Mapping):
        kept = {name: _without_nothing(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part is not None and part not in ({}, [])}
    return value
