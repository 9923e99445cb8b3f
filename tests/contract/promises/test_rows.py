"""Nothing is promised that no test here shows: every variable, route, metric and command has its row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from rag_runtime.__main__ import _parser
from rag_runtime.api.metrics import Metrics
from rag_runtime.app import create_app
from rag_runtime.settings import Settings
from tests.contract.promises.profiles import TUNING

HERE = Path(__file__).parent
# Shown by the tests of backups, which need an object store.
ELSEWHERE = {"snapshot", "restore", "verify"}
SUFFIXES = re.compile(r"_(count|sum|bucket)$")


def shown() -> set[str]:
    """The words in the sources: marks that are made in a loop name their rows in the list they loop over."""
    words = set(TUNING)
    for source in HERE.glob("test_*.py"):
        if source.name != Path(__file__).name:
            words |= set(_strings(source.read_text()))
    return {SUFFIXES.sub("", word.partition("{")[0]) if word.startswith("rag_") else word for word in words}


def _strings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_variable_is_shown() -> None:
    assert {name.upper() for name in Settings.model_fields} - shown() == set()


def test_every_route_is_shown() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    routes = {f"{method.upper()} {re.sub(r'{[^}]+}', '{id}', path)}" for path, item in paths.items() for method in item}
    assert routes - shown() == set()


def test_every_metric_is_shown() -> None:
    families = [family for family in Metrics().registry.collect() if family.name.startswith("rag_")]
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert names - shown() == set()


def test_every_command_is_shown() -> None:
    (commands,) = (action.choices for action in _parser()._actions if action.choices)
    assert {name for name in commands if f"rag-runtime {name}" not in shown()} - ELSEWHERE == set()
