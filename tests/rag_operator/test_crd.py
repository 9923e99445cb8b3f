"""The CustomResourceDefinition is what the models say, and says enough to be a reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_operator import crd
from rag_operator.spec import Spec

ROOT = Path(__file__).parents[2]
NAME = "ragops.dev_ragpipelines.yaml"


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")
        yield from fields(child.get("items", {}), f"{path}.{name}[]")


def root_schema() -> dict[str, Any]:
    schema: dict[str, Any] = crd.build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def test_the_written_crd_is_what_the_models_say() -> None:
    """When this fails: make crds."""
    assert (ROOT / "crds" / NAME).read_text() == crd.build_yaml()
    assert (ROOT / "charts/ragops/files" / NAME).read_text() == crd.build_yaml()


def test_every_field_is_described() -> None:
    silent = [
        path for path, schema in fields(root_schema(), "") if not schema.get("description") and path != ".metadata"
    ]
    assert silent == []


def test_every_field_has_one_type_or_is_a_quantity() -> None:
    untyped = [
        path
        for path, schema in fields(root_schema(), "")
        if "type" not in schema and not schema.get("x-kubernetes-int-or-string")
    ]
    assert untyped == []


def test_nothing_is_left_of_what_kubernetes_does_not_know() -> None:
    text = crd.build_yaml()
    assert not [word for word in ("$ref", "$defs", "title:", "'null'", "&id", "anyOf: []") if word in text]


def test_the_defaults_of_the_schema_are_the_models_own() -> None:
    """What an API server fills in loads to the same spec as nothing."""
    assert Spec.model_validate(root_schema()["properties"]["spec"]["default"]) == Spec()


def test_the_columns_are_those_that_were_promised() -> None:
    shown = ["Ready", "Status", "URL", "Points", "Model", "Last-Backup", "Age"]
    assert [name for name, _, _, wide in crd.COLUMNS if not wide] == shown
    assert [name for name, _, _, wide in crd.COLUMNS if wide] == ["Image", "Replicas", "Index", "Reason"]
