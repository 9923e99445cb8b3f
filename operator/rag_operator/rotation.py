"""The pipeline's own keys and their rotation: new ones first beside the old, then in their place. Pure: the time and
the new values are arguments.

For the first minutes a new key is only admitted, because pods see a changed Secret late; then apps are told of it; and
when the overlap is over, the old one is admitted no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rag_operator import names

# A kubelet brings a changed Secret into running pods within a minute and a half.
PROPAGATION_SECONDS = 120.0
# What fits a line of the keys' file and a header of HTTP. Anything else is no key, whoever wrote it there.
USABLE = re.compile(r"[!-~]+")
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Keys:
    """`values` are the keys of the Secret by name, old ones too; `annotations` say which rotation made them.

    `client` is the one that apps are told, `probe` the operator's own. `again_seconds`: until the next step is due.
    """

    values: Mapping[str, str] = field(repr=False)
    client: str = field(repr=False)
    probe: str = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)
    again_seconds: float | None = None


def advance(
    kept: Mapping[str, str],
    annotations: Mapping[str, str],
    asked: str | None,
    now: datetime,
    *,
    overlap_seconds: float,
    make: Callable[[], str],
) -> Keys:
    """The keys as they should be, given those that the Secret has and the rotation that is asked for."""
    kept = {name: value for name, value in kept.items() if USABLE.fullmatch(value)}
    values = {name: kept.get(name) or make() for name in names.GENERATED_KEYS}
    done = {
        name: annotations[name]
        for name in (names.ANNOTATION_ROTATE, names.ANNOTATION_ROTATED_AT)
        if name in annotations
    }
    if not kept or asked is None or asked == done.get(names.ANNOTATION_ROTATE):
        asked_for = {names.ANNOTATION_ROTATE: asked} if asked and not kept else {}
        old = {name: kept[name] for name in names.PREVIOUS_KEYS if kept.get(name)}
        return _step(values, old, done | asked_for, now, overlap_seconds)
    old = {names.previous(name): values[name] for name in names.ROTATED_KEYS}
    fresh = values | {name: make() for name in names.ROTATED_KEYS}
    stamped = {names.ANNOTATION_ROTATE: asked, names.ANNOTATION_ROTATED_AT: now.strftime(TIME)}
    return _step(fresh, old, stamped, now, overlap_seconds)


def _step(
    values: Mapping[str, str],
    old: Mapping[str, str],
    annotations: Mapping[str, str],
    now: datetime,
    overlap_seconds: float,
) -> Keys:
    age = _age_seconds(annotations.get(names.ANNOTATION_ROTATED_AT), now)
    told_after = min(PROPAGATION_SECONDS, overlap_seconds / 2)
    if not old or age >= overlap_seconds:
        return Keys(values, values[names.KEY_CLIENT], values[names.KEY_OPERATOR], annotations)
    known = (
        values if age >= told_after else {name: old.get(names.previous(name), value) for name, value in values.items()}
    )
    due = overlap_seconds if age >= told_after else told_after
    return Keys({**values, **old}, known[names.KEY_CLIENT], known[names.KEY_OPERATOR], annotations, due - age)


def _age_seconds(moment: str | None, now: datetime) -> float:
    """Of an unreadable time nothing is known but that it is past."""
    try:
        return max(0.0, (now - datetime.fromisoformat(moment or "")).total_seconds())
    except (ValueError, TypeError):
        return float("inf")
