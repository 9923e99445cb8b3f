"""Specs made from the CRD's own schema, for hypothesis: most of them valid field by field, some wild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from rag_operator import crd

Schema = Mapping[str, Any]
Strategy = st.SearchStrategy[Any]
SCHEMA: Schema = crd.build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
WILD = st.sampled_from([None, -1, 10**12, "", " ", "x" * 3000, "../../etc", "é\u0000", [], {}, {"a": "b"}, True, 1.5])
QUANTITIES = st.sampled_from(["1", "500m", "2Gi", "60Gi", 3, "0", "-1Gi", "lots"])
# Characters that a terminal or YAML would not carry are none that a user can send.
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def specs() -> Strategy:
    return _of(SCHEMA, depth=0)


def _of(schema: Schema, *, depth: int) -> Strategy:
    valid = _valid(schema, depth)
    # One field in so many is wild, so that whole specs are both refused and accepted.
    return valid if depth == 0 else st.integers(0, 39).flatmap(lambda number: WILD if number == 0 else valid)


def _valid(schema: Schema, depth: int) -> Strategy:
    if schema.get("x-kubernetes-int-or-string"):
        return QUANTITIES
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("type") in ("object", "array"):
        return _object(schema, depth) if schema["type"] == "object" else _array(schema, depth)
    return _simple(schema)


def _simple(schema: Schema) -> Strategy:
    least, most = schema.get("minimum", 0), schema.get("maximum", 100)
    simple = {
        "boolean": st.booleans(),
        "integer": st.integers(int(least), int(min(most, 100_000))),
        "number": st.floats(least, most),
        "string": _string(schema),
    }
    return simple.get(schema.get("type", ""), WILD)


def _array(schema: Schema, depth: int) -> Strategy:
    return st.lists(_of(schema.get("items", {}), depth=depth + 1), max_size=min(3, schema.get("maxItems", 3)))


def _object(schema: Schema, depth: int) -> Strategy:
    if "properties" not in schema:
        inner = schema.get("additionalProperties")
        value = _of(inner, depth=depth + 1) if isinstance(inner, Mapping) else TEXT
        return st.dictionaries(st.sampled_from(["cpu", "memory", "team"]), value, max_size=2)
    fields = {name: _of(child, depth=depth + 1) for name, child in schema["properties"].items()}
    required = {name: fields[name] for name in schema.get("required", ())}
    optional = [name for name in fields if name not in required]
    chosen = st.lists(st.sampled_from(optional), max_size=3, unique=True) if optional else st.just([])
    return chosen.flatmap(lambda names: st.fixed_dictionaries({**required, **{name: fields[name] for name in names}}))


def _string(schema: Schema) -> Strategy:
    if pattern := schema.get("pattern"):
        return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(min_codepoint=33, max_codepoint=126)).map(
            lambda text: text[: schema.get("maxLength", 60)]
        )
    return TEXT
