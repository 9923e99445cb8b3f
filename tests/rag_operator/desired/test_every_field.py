"""No field of the resource is idle: each, changed alone, changes what is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rag_operator import desired, names
from rag_operator.desired import Plan
from tests import builders, fields


def plan(spec: dict[str, Any]) -> Plan:
    return desired.build(builders.app(**spec), replace(builders.inputs(), served=frozenset(names.OPTIONAL)))


@pytest.mark.parametrize("path", fields.LEAVES, ids=".".join)
def test_a_field_changed_alone_changes_what_is_made(path: fields.Steps) -> None:
    before, after = fields.pair(path)
    assert plan(before) != plan(after)
