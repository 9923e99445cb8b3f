"""What a change of status tells people: Kubernetes events, one for each transition. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from rag_operator import names
from rag_operator.state import Reason

# What somebody asked for, what passes, and what is not known is no failure.
QUIET = frozenset(
    {
        Reason.PROGRESSING,
        Reason.DELETING,
        Reason.RECONCILED,
        Reason.PROBE_UNREACHABLE,
        Reason.SUSPENDED,
        Reason.PAUSED,
    }
)
# The API server refuses a longer one.
NOTE_CHARACTERS = 1000


class Transition(NamedTuple):
    type: str
    reason: str
    note: str


def transitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Transition]:
    """A warning for each reason that is new; a normal event for the first visit and for each completed update."""
    before, after = _conditions(old), _conditions(new)
    found = [
        Transition("Warning", reason, message)
        for reason, message in _failures(after).items()
        if reason not in _failures(before)
    ]
    if not before and not found:
        found.append(Transition("Normal", "Created", "the pipeline's objects were created"))
    was, now = before.get("Updated"), after.get("Updated")
    if now and now["status"] == "True" and (was is None or was["status"] != "True"):
        found.append(Transition("Normal", "Updated", now["message"]))
    return found


def build_event(pipeline: Mapping[str, Any], transition: Transition, now: datetime, instance: str) -> dict[str, Any]:
    meta = pipeline["metadata"]
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    unique = hashlib.sha256(f"{meta['uid']}{transition}{moment}".encode()).hexdigest()[:16]
    return {
        "apiVersion": names.EVENT.api_version,
        "kind": names.EVENT.name,
        "metadata": {"name": f"{meta['name']}.{unique}", "namespace": meta["namespace"]},
        "regarding": {
            "apiVersion": names.PIPELINE.api_version,
            "kind": names.PIPELINE.name,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "type": transition.type,
        "reason": transition.reason,
        "note": transition.note[:NOTE_CHARACTERS],
        "action": "Reconcile",
        "eventTime": moment,
        "reportingController": f"{names.GROUP}/{names.FIELD_MANAGER}",
        "reportingInstance": instance[:128],
    }


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {condition["type"]: condition for condition in status.get("conditions") or []}


def _failures(conditions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Failing reasons with their messages. The summary's is one that a condition behind it has too."""
    return {
        condition["reason"]: condition["message"]
        for condition in reversed(list(conditions.values()))
        if condition["reason"] not in QUIET
    }
