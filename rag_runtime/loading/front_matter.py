"""The YAML at the top of a Markdown file: its simple values. Pure, and unmoved by what a file is made to do."""

from __future__ import annotations

from datetime import date
from math import isfinite

import yaml

MAX_CHARACTERS = 8_192
# Reading lists inside lists takes the square of their depth.
MAX_BRACKETS = 200
MAX_VALUES = 64
MAX_NAME_CHARACTERS = 100
MAX_VALUE_CHARACTERS = 4_096

Value = str | int | float | bool | list[str]
Values = dict[str, Value]


def read(text: str) -> Values | None:
    """The names with a simple value: a word, a number, a yes or no, a date (as text), or a list of words.

    None where it is no front matter; empty where it is one that is not simple.
    """
    if not text.strip() or len(text) > MAX_CHARACTERS or text.count("[") + text.count("{") > MAX_BRACKETS:
        return None
    try:
        # Aliases can make much of little.
        if any(isinstance(token, yaml.AliasToken | yaml.TagToken) for token in yaml.scan(text)):
            return {}
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    values = {name: value for name, raw in found.items() if _is_name(name) and (value := _simple(raw)) is not None}
    return dict(list(values.items())[:MAX_VALUES])


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable()


def _simple(raw: object) -> Value | None:
    if isinstance(raw, list):
        words = [word for each in raw[:MAX_VALUES] if isinstance(word := _simple(each), str)]
        return words if len(words) == len(raw) else None
    if isinstance(raw, date):
        return raw.isoformat()
    if isinstance(raw, str):
        return raw if 0 < len(raw) <= MAX_VALUE_CHARACTERS else None
    if isinstance(raw, float):
        return raw if isfinite(raw) else None
    # What a store counts in has 64 bits.
    return raw if isinstance(raw, int) and abs(raw) < 2**63 else None
