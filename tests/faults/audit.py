"""Reads an API server's audit log: which replica of the operator wrote what, and when."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WRITES = {"create", "update", "patch", "delete"}


@dataclass(frozen=True)
class Write:
    """One that the server accepted. `made`: the object was not there before."""

    at: str
    replica: str
    verb: str
    resource: str
    namespace: str
    name: str
    made: bool


def read_writes(log: Path) -> list[Write]:
    """Of all replicas, in the order in which the server got them. Leases are not counted: both replicas try."""
    return sorted(_writes(log), key=lambda write: write.at)


def _writes(log: Path) -> Iterator[Write]:
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            # The last line of a server that was killed.
            continue
        replica = re.search(r"^rag-operator/\S+ \((.+)\)", entry.get("userAgent", ""))
        code = entry.get("responseStatus", {}).get("code", 0)
        target = entry.get("objectRef", {})
        if not replica or entry["verb"] not in WRITES or not 200 <= code < 300 or target["resource"] == "leases":
            continue
        yield Write(
            entry["requestReceivedTimestamp"],
            replica.group(1),
            entry["verb"],
            target["resource"],
            target.get("namespace", ""),
            target.get("name", ""),
            code == 201,
        )


def turns(writes: Sequence[Write]) -> list[str]:
    """Who wrote, an entry for each change of writer: no more than there were leaders, if one writes at a time."""
    return [replica for replica, _ in itertools.groupby(write.replica for write in writes)]


def made_twice(writes: Sequence[Write]) -> list[str]:
    """Objects that came into being more than once. Events are news, each with a name of its own."""
    made = Counter(
        f"{write.resource} {write.namespace}/{write.name}"
        for write in writes
        if write.made and write.name and write.resource != "events"
    )
    return [name for name, times in made.items() if times > 1]
