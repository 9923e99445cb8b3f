"""Ask an API server directly, for the few questions that are asked many times a second while a cluster starts."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MERGE_PATCH = "application/merge-patch+json"


class Api:
    """One API server, as its administrator. Raises OSError while nobody answers."""

    def __init__(self, address: str, port: int, pki: Path) -> None:
        self._address, self._port = address, port
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))

    def is_ready(self) -> bool:
        try:
            status, _ = self._ask("GET", "/readyz")
        except (OSError, http.client.HTTPException):
            return False
        return status == 200

    def get(self, path: str) -> Any:
        """The object or list at the path, or None where there is none."""
        status, body = self._ask("GET", path)
        return json.loads(body) if status == 200 else None

    def patch(self, path: str, change: object) -> None:
        self._ask("PATCH", path, json.dumps(change), {"Content-Type": MERGE_PATCH})

    def watch(self, path: str, *, seconds: int) -> Iterator[Any]:
        """The objects of a list as they are, then as they change, until the time is over."""
        connection = self._connect(timeout=seconds + 30)
        try:
            connection.request("GET", f"{path}?watch=1&timeoutSeconds={seconds}")
            for line in connection.getresponse():
                yield json.loads(line)["object"]
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = self._connect(timeout=5)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, self._port, timeout=timeout, context=self._context)
