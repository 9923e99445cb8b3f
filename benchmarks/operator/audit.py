"""What a user asked of the API server, from its audit log."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

READS, WRITES = frozenset({"get", "list"}), frozenset({"create", "update", "patch", "delete", "deletecollection"})
LEASES = "leases"
Asked = Counter[tuple[str, str]]


class AuditLog:
    """Read on from where it was read to last. It is rotated at a size that no run here reaches."""

    def __init__(self, path: Path, user: str) -> None:
        self._path, self._user = path, user
        self._at = 0

    def since(self) -> Asked:
        """Requests by verb and resource since this was last asked; a subresource as resource/subresource."""
        return Counter((each["verb"], _resource(each)) for each in self._news() if _is_of(each, self._user))

    async def until_quiet(self, seconds: float = 3) -> Asked:
        """All since this was last asked, up to the moment when nothing but the Lease was asked for so long."""
        asked: Asked = Counter()
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < seconds:
            await asyncio.sleep(0.2)
            news = self.since()
            asked += news
            if any(resource != LEASES and verb != "watch" for verb, resource in news):
                quiet_since = time.monotonic()
        return asked

    def _news(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                yield json.loads(line)


def count(asked: Asked, verbs: frozenset[str]) -> int:
    """Without those for the Lease."""
    return sum(number for (verb, resource), number in asked.items() if verb in verbs and resource != LEASES)


def _is_of(entry: dict[str, Any], user: str) -> bool:
    return entry["user"].get("username") == user and entry["stage"] == "ResponseComplete"


def _resource(entry: dict[str, Any]) -> str:
    ref = entry.get("objectRef") or {}
    return "/".join(filter(None, (ref.get("resource", entry["requestURI"]), ref.get("subresource"))))
