"""The only module that talks to the API server: raw JSON over HTTP, with timeouts and retries.

It knows no pipeline. Its exceptions are those of `errors`; nothing of the HTTP library gets out.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import kopf

from rag_operator import __version__, metrics, names
from rag_operator.errors import ApiError, Conflict, Forbidden, Rejected, Unreachable
from rag_operator.names import Kind, Ref

Body = dict[str, Any]

OWNING = frozenset({"get", "list", "create", "patch", "delete"})
# What the operator may do where it serves: (group, resource) -> verbs. The chart grants this and no more.
PERMISSIONS: Mapping[tuple[str, str], frozenset[str]] = {
    (names.GROUP, "ragpipelines"): frozenset({"get", "list", "watch"}),
    (names.GROUP, "ragpipelines/status"): frozenset({"patch"}),
    # Owner references that block deletion need it where OwnerReferencesPermissionEnforcement is on.
    (names.GROUP, "ragpipelines/finalizers"): frozenset({"update"}),
    **{(kind.group, kind.plural): OWNING | {"watch"} for kind in names.ALWAYS_SERVED},
    **{(kind.group, kind.plural): OWNING for kind in names.OPTIONAL},
    ("", "persistentvolumeclaims"): frozenset({"get", "list", "watch", "create", "patch"}),
    ("", "pods"): frozenset({"get", "list", "watch"}),
    ("", "secrets"): frozenset({"get", "create", "patch"}),
    ("events.k8s.io", "events"): frozenset({"create"}),
}
# The same in the lease's namespace.
LEASE_PERMISSIONS: Mapping[tuple[str, str], frozenset[str]] = {
    ("coordination.k8s.io", "leases"): frozenset({"get", "watch", "create", "update"}),
}

ATTEMPTS = 4
PAGE = 500
TOKEN_SECONDS = 60.0
DISCOVERY_SECONDS = 60.0
NO_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
MERGE, APPLY, JSON = "application/merge-patch+json", "application/apply-patch+yaml", "application/json"


class Client:
    """One session to one API server."""

    def __init__(self, session: aiohttp.ClientSession, login: Callable[[], kopf.ConnectionInfo], server: str) -> None:
        self._session = session
        self._login = login
        self._server = server.rstrip("/")
        self._headers: dict[str, str] = {}
        self._headers_until = 0.0
        self._served: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}

    async def get(self, ref: Ref) -> Body | None:
        """None when there is no such object."""
        return await self._call("GET", path_of(ref), missing_is_none=True)

    async def list(self, kind: Kind, namespace: str | None = None, *, selector: str = "") -> AsyncIterator[Body]:
        """Page by page, so that thousands of objects are never in memory twice."""
        query = {"limit": str(PAGE), "labelSelector": selector}
        while True:
            page = await self._required("GET", path_of(Ref(kind, namespace or "", "")), query=query)
            for item in page["items"]:
                yield {"apiVersion": kind.api_version, "kind": kind.name, **item}
            if not (token := page["metadata"].get("continue")):
                return
            query["continue"] = token

    async def serves(self, kind: Kind) -> bool:
        """Whether the server has this kind; what it said is good for a minute."""
        now = asyncio.get_running_loop().time()
        group = (kind.group, kind.version)
        asked_at, plurals = self._served.get(group, (-DISCOVERY_SECONDS, frozenset()))
        if now - asked_at >= DISCOVERY_SECONDS:
            found = await self._call("GET", f"/apis/{kind.group}/{kind.version}", missing_is_none=True)
            plurals = frozenset(str(resource["name"]) for resource in (found or {}).get("resources", ()))
            self._served[group] = (now, plurals)
        return kind.plural in plurals

    async def watch(self, ref: Ref) -> AsyncIterator[Body]:
        """One object as it is, then as it changes, until the stream ends."""
        kind, namespace, name = ref
        query = {"watch": "1", "fieldSelector": f"metadata.name={name}"}
        path = path_of(Ref(kind, namespace, ""))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        try:
            async with self._session.get(
                self._server + path, params=query, headers=self._authorization(), timeout=timeout
            ) as stream:
                if stream.status >= 400:
                    refused = _refusal("WATCH", path, stream, await stream.text(errors="replace"))
                    raise refused.error if isinstance(refused, _Retryable) else refused
                async for line in stream.content:
                    yield _parsed("WATCH", path, line.decode(errors="replace"))
        except _Retryable as garbled:
            raise garbled.error from garbled
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as away:
            raise Unreachable(f"WATCH {path}: {type(away).__name__}: {away}") from away

    async def apply(self, body: Body, *, manager: str = names.FIELD_MANAGER) -> Body:
        """Server-side apply as a field manager. With metadata.resourceVersion: Conflict when it is another."""
        query = {"fieldManager": manager, "force": "true"}
        return await self._required("PATCH", path_of(names.ref_of(body)), body, query=query, media=APPLY)

    async def create(self, kind: Kind, body: Body) -> Body:
        """Conflict when it exists. Never repeated, because the first try may have worked."""
        namespace = body["metadata"]["namespace"]
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._required("POST", path_of(Ref(kind, namespace, "")), body, query=query, attempts=1)

    async def replace(self, kind: Kind, body: Body) -> Body:
        """Conflict when its resourceVersion is no longer this one."""
        ref = Ref(kind, body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._required("PUT", path_of(ref), body, attempts=1)

    async def patch_status(self, ref: Ref, resource_version: str, status: Body) -> Body | None:
        """None when the object is gone; Conflict when it changed since it was read."""
        patch = {"metadata": {"resourceVersion": resource_version}, "status": status}
        return await self._call("PATCH", f"{path_of(ref)}/status", patch, media=MERGE, missing_is_none=True)

    async def delete(self, ref: Ref, uid: str) -> None:
        """Only this very object, and not another that took its name; gone already is fine."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        await self._call("DELETE", path_of(ref), options, missing_is_none=True)

    async def _required(self, method: str, path: str, body: Body | None = None, **options: Any) -> Body:
        answer = await self._call(method, path, body, **options)
        if answer is None:
            raise Rejected(f"{method} {path}: not found", status=404)
        return answer

    async def _call(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        query: Mapping[str, str] | None = None,
        media: str = JSON,
        attempts: int = ATTEMPTS,
        missing_is_none: bool = False,
    ) -> Body | None:
        """Repeat what may be repeated while the server is busy or away, as long as it asks us to wait."""
        data = None if body is None else to_wire(body)
        for attempt in range(1, attempts + 1):
            try:
                return await self._once(method, path, data, query or {}, media)
            except _Retryable as busy:
                if attempt == attempts:
                    raise busy.error from busy
                await asyncio.sleep(max(busy.retry_after, 0.2 * 2**attempt * random.uniform(0.8, 1.2)))  # noqa: S311
            except ApiError as refused:
                if refused.status == 404 and missing_is_none:
                    return None
                raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(self, method: str, path: str, data: bytes | None, query: Mapping[str, str], media: str) -> Body:
        headers = {**self._authorization(), "Content-Type": media, "Accept": JSON}
        try:
            async with self._session.request(
                method, self._server + path, params=query, data=data, headers=headers
            ) as response:
                text = await response.text(errors="replace")
                metrics.API_REQUESTS.labels(method, str(response.status)).inc()
        except (aiohttp.ClientError, TimeoutError, OSError) as away:
            metrics.API_REQUESTS.labels(method, "none").inc()
            raise _Retryable(Unreachable(f"{method} {path}: {type(away).__name__}: {away}")) from away
        if response.status < 400:
            return _parsed(method, path, text)
        if response.status == 401:
            self._headers_until = 0.0
        raise _refusal(method, path, response, text)

    def _authorization(self) -> dict[str, str]:
        now = asyncio.get_running_loop().time()
        if now >= self._headers_until:
            self._headers = self._login().as_http_headers()
            self._headers_until = now + TOKEN_SECONDS
        return self._headers


class _Retryable(Exception):
    """Carries the error to raise when there are no attempts left."""

    def __init__(self, error: Unreachable, retry_after: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


@asynccontextmanager
async def connect(
    login: Callable[[], kopf.ConnectionInfo], *, identity: str = "", timeout_seconds: float = 10.0
) -> AsyncIterator[Client]:
    """A client for the block. `identity` tells one replica from another in the API server's audit log."""
    agent = f"rag-operator/{__version__}" + (f" ({identity})" if identity else "")
    info = login()
    timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5)
    connector = aiohttp.TCPConnector(limit=20, ssl=info.as_ssl_context())
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, proxy=info.proxy_url, headers={"User-Agent": agent}
    ) as session:
        yield Client(session, login, info.server)


def to_wire(body: Body) -> bytes:
    """JSON that is YAML too, as which the server reads what is applied: YAML knows no pairs of surrogates, and takes
    some characters for ends of lines or for none."""
    text = json.dumps(body, ensure_ascii=False)
    return NO_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def path_of(ref: Ref) -> str:
    """The path of an object, or of a collection where there is no name."""
    kind, namespace, name = ref
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{within}/{kind.plural}" + (f"/{name}" if name else "")


def _parsed(method: str, path: str, text: str) -> Body:
    """What stands between us and the server may answer in its place, or cut its answer off."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as garbled:
        raise _Retryable(Unreachable(f"{method} {path}: the answer is not an object: {text[:80]!r}")) from garbled


def _refusal(method: str, path: str, response: aiohttp.ClientResponse, text: str) -> Exception:
    status = response.status
    message = f"{method} {path}: {_reason(text) or response.reason}"
    if status == 429 or status >= 500:
        wait = response.headers.get("Retry-After", "")
        return _Retryable(Unreachable(message, status=status), float(wait) if wait.isdigit() else 0.0)
    if status in (401, 403):
        return Forbidden(_reason(text) or message, status=status)
    if status == 409:
        return Conflict(message, status=status)
    return Rejected(_reason(text) or message, status=status)


def _reason(text: str) -> str:
    try:
        return str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError):
        return ""
