"""A small map of the objects that pipelines own, fed by the watches: what a status needs, and whether others wrote.

It talks to nothing. A few hundred bytes an object, so that thousands of pipelines fit.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rag_operator import names
from rag_operator.names import Key, Kind, Ref
from rag_operator.state import ClaimState, Detail, PodState, Seen, Workload

Body = Mapping[str, Any]

LAST_WORDS = "rag-runtime: "


class Children:
    """What was last seen of each object, by reference and by the pipeline that its labels name."""

    def __init__(self) -> None:
        self._seen: dict[Ref, Seen] = {}
        self._of: defaultdict[Key, set[Ref]] = defaultdict(set)

    def get(self, ref: Ref) -> Seen | None:
        return self._seen.get(ref)

    def of(self, key: Key) -> list[Seen]:
        """In a fixed order, so that the first problem found is the same each time."""
        return [self._seen[ref] for ref in sorted(self._of.get(key, ()), key=str)]

    def note(self, body: Body, *, gone: bool = False) -> Key | None:
        """Take in what a watch brought; whose it is, None when it is nobody's of ours or tells nothing new.

        An autoscaler's status changes every few seconds, and our own writes come back: neither calls for a visit.
        """
        ref = names.ref_of(body)
        if gone:
            self._forget(ref)
        elif (seen := to_seen(body)) == self._seen.get(ref):
            return None
        else:
            self._put(seen)
        return names.controller_key(body["metadata"]) or names.owner_key(body["metadata"])

    def note_answer(self, body: Body, before: Seen | None) -> Seen:
        """Take in the answer to a write of ours, unless a watch brought something newer while it was under way."""
        seen = to_seen(body)
        if self._seen.get(seen.ref) is before:
            self._put(seen)
        return seen

    def replace(self, kind: Kind, namespace: str | None, listed: Iterable[Seen]) -> set[Key]:
        """A whole listing: what is not in it is gone, though no watch said so. Whose objects are not as they were."""
        found = {seen.ref: seen for seen in listed}
        known = [seen for ref, seen in self._seen.items() if ref.kind == kind and namespace in (None, ref.namespace)]
        gone = [seen for seen in known if seen.ref not in found]
        news = [seen for seen in found.values() if seen != self._seen.get(seen.ref)]
        for seen in gone:
            self._forget(seen.ref)
        for seen in news:
            self._put(seen)
        return {Key(seen.ref.namespace, owner) for seen in (*gone, *news) if (owner := _owner(seen))}

    def _put(self, seen: Seen) -> None:
        self._forget(seen.ref)
        self._seen[seen.ref] = seen
        if seen.labelled_instance:
            self._of[Key(seen.ref.namespace, seen.labelled_instance)].add(seen.ref)

    def _forget(self, ref: Ref) -> None:
        old = self._seen.pop(ref, None)
        if old is None or not old.labelled_instance:
            return
        key = Key(ref.namespace, old.labelled_instance)
        self._of[key].discard(ref)
        if not self._of[key]:
            del self._of[key]


def _owner(seen: Seen) -> str | None:
    return seen.controller or seen.labelled_instance


def to_seen(body: Body) -> Seen:
    meta = body["metadata"]
    owner, key = names.controller_of(meta), names.owner_key(meta)
    controller = names.controller_key(meta)
    return Seen(
        ref=names.ref_of(body),
        uid=meta["uid"],
        controller=controller.name if controller else None,
        controller_uid=owner["uid"] if owner else None,
        labelled_instance=key.name if key else None,
        fields_hash=_fields_hash(meta.get("managedFields") or []),
        detail=judge(body) if (judge := DETAILS.get(body["kind"])) else None,
    )


def _fields_hash(entries: Iterable[Body]) -> str:
    """A fingerprint of the fields that are ours. Whoever changes or removes one takes it from us, and this changes.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    ours = _our_fields(entries)
    return "" if ours is None else hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16]


def _our_fields(entries: Iterable[Body]) -> Body | None:
    for entry in entries:
        if (entry.get("manager"), entry.get("operation")) == (names.FIELD_MANAGER, "Apply"):
            fields: Body = entry["fieldsV1"]
            return fields
    return None


def _workload(body: Body) -> Workload:
    status = body.get("status") or {}
    managed = body["metadata"].get("managedFields") or []
    refused = [part for part in status.get("conditions") or [] if part["type"] == "ReplicaFailure"]
    return Workload(
        wanted=body["spec"].get("replicas", 1),
        settled=status.get("observedGeneration", 0) >= body["metadata"]["generation"],
        replicas=status.get("replicas", 0),
        ready=status.get("readyReplicas", 0),
        updated=status.get("updatedReplicas", 0),
        refused=refused[0].get("message") if refused and refused[0]["status"] == "True" else None,
        replicas_are_ours="f:replicas" in (_our_fields(managed) or {}).get("f:spec", {}),
        claim_size=_requested(templates[0]) if (templates := body["spec"].get("volumeClaimTemplates")) else None,
    )


def _pod(body: Body) -> PodState:
    status = body.get("status") or {}
    conditions = {part["type"]: part for part in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    container: Body = next(iter(status.get("containerStatuses") or []), {})
    waiting = container.get("state", {}).get("waiting") or {}
    states = (container.get(part, {}).get("terminated") for part in ("state", "lastState"))
    ended: Body = next((state for state in states if state), {})
    return PodState(
        component=body["metadata"].get("labels", {}).get(names.LABEL_COMPONENT, ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        leaving="deletionTimestamp" in body["metadata"] or status.get("phase") in ("Failed", "Succeeded"),
        image=body["spec"]["containers"][0].get("image", ""),
        waiting=waiting.get("reason"),
        message=waiting.get("message", "")[:300],
        restarts=container.get("restartCount", 0),
        exit_code=ended.get("exitCode"),
        last_words=_last_words(ended.get("message") or ""),
        out_of_memory=ended.get("reason") == "OOMKilled",
        running_since=(container.get("state", {}).get("running") or {}).get("startedAt"),
        reported_at=_reported_at(body["metadata"].get("managedFields") or []),
        started=bool(container.get("started")),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else None,
    )


def _last_words(log: str) -> str:
    """The line that the runtime ends with, and no other of its log: that one is made for other eyes."""
    said = [line for line in log.splitlines() if line.startswith(LAST_WORDS)]
    return said[-1].removeprefix(LAST_WORDS).strip()[:300] if said else ""


def _reported_at(entries: Iterable[Body]) -> str | None:
    return max((entry["time"] for entry in entries if entry.get("subresource") == "status"), default=None)


def _claim(body: Body) -> ClaimState:
    bound = (body.get("status") or {}).get("phase") == "Bound"
    return ClaimState(
        component=body["metadata"].get("labels", {}).get(names.LABEL_COMPONENT, ""),
        bound=bound,
        storage_class=body["spec"].get("storageClassName"),
        size=_requested(body),
    )


def _requested(claim: Body) -> str:
    return str(claim["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))


DETAILS: Mapping[str, Callable[[Body], Detail | None]] = {
    names.DEPLOYMENT.name: _workload,
    names.STATEFUL_SET.name: _workload,
    names.POD.name: _pod,
    names.CLAIM.name: _claim,
}
