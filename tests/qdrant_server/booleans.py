"""Booleans in payloads, which the engine's Python binding cannot match: it takes True for the integer 1.

Beside each boolean a word is stored under a name of its own; filters and indexes use the word, and nobody sees it.
"""

from typing import Any

_SUFFIX = "__bool"


def shadow_key(key: str) -> str:
    return key + _SUFFIX


def word(value: bool) -> str:
    return "true" if value else "false"


def with_shadows(payload: dict[str, Any]) -> dict[str, Any]:
    shadowed: dict[str, Any] = {}
    for key, value in payload.items():
        shadowed[key] = with_shadows(value) if isinstance(value, dict) else value
        if isinstance(value, bool):
            shadowed[shadow_key(key)] = word(value)
    return shadowed


def without_shadows(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        key: without_shadows(value) if isinstance(value, dict) else value
        for key, value in payload.items()
        if not key.endswith(_SUFFIX)
    }
