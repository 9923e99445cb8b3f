"""Who calls, and what a key may do. Keys are kept and compared as hashes; no message ever holds one."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from rag_runtime.errors import SettingInvalid

log = structlog.get_logger(__name__)

HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
REREAD_SECONDS = 1.0
# Neither asks for a key nor counts: probes, metrics, and pages that carry no data.
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/livez", "/ready", "/health", "/metrics"})
OPEN_FOLDER = "/static/"


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


ASKING = frozenset({"/v1/query", "/v1/retrieve", "/v1/chat/completions", "/v1/models", "/mcp"})


class Permission(StrEnum):
    """What a key's scope lets it do; `admin` holds the others."""

    QUERY = "query"
    INGEST = "ingest"
    ADMIN = "admin"


EVERYTHING = frozenset(Permission)


@dataclass(frozen=True, slots=True)
class Key:
    name: str
    digest: bytes
    permissions: frozenset[Permission]

    def may(self, wanted: frozenset[Permission]) -> bool:
        """Whether it has one of those that are wanted."""
        return Permission.ADMIN in self.permissions or bool(self.permissions & wanted)


ANONYMOUS_ADMIN = Key("anonymous", b"", EVERYTHING)


def wanted_permissions(method: str, path: str) -> frozenset[Permission]:
    """Those of which a caller needs one. What is not listed is for admins."""
    reading = frozenset({Permission.QUERY, Permission.INGEST})
    if path in ASKING or path.startswith("/v1/models/") or (path == "/v1/feedback" and method == "POST"):
        return frozenset({Permission.QUERY})
    if path == "/v1/documents" and method == "DELETE":
        return frozenset({Permission.ADMIN})
    if path == "/v1/documents" or path.startswith("/v1/documents/"):
        return reading if method in ("GET", "HEAD") else frozenset({Permission.INGEST})
    if path.startswith("/v1/jobs/") and method == "POST":
        return frozenset({Permission.INGEST})
    if path.startswith("/v1/jobs/") or path == "/v1/config":
        return reading
    return frozenset({Permission.ADMIN})


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key of `Authorization: Bearer KEY`, else of `X-API-Key: KEY`."""
    found = dict(reversed([(name, value) for name, value in headers if name in (b"authorization", b"x-api-key")]))
    scheme, _, bearer = found.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and bearer.strip():
        return bearer.strip()
    return found.get(b"x-api-key")


class KeyRing:
    """The keys of API_KEYS and of API_KEYS_FILE, the file read anew when it changes."""

    def __init__(self, inline: str | None, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._inline = parse_inline(inline or "")
        self._path = path
        self._clock = clock
        self._state = self._file_state()
        self._from_file = _read(path) if path else ()
        self._looked_at = clock()

    def __len__(self) -> int:
        return len(self._inline) + len(self._from_file)

    def find(self, presented: bytes) -> Key | None:
        """Every key is compared, so that the time taken tells nothing."""
        self._refresh()
        digest = hashlib.sha256(presented).digest()
        found = None
        for key in (*self._inline, *self._from_file):
            if hmac.compare_digest(digest, key.digest):
                found = found or key
        return found

    def _refresh(self) -> None:
        if self._path is None or self._clock() - self._looked_at < REREAD_SECONDS:
            return
        self._looked_at = self._clock()
        state = self._file_state()
        if state == self._state:
            return
        try:
            self._from_file = _read(self._path)
            self._state = state
            log.info("keys_reread", keys=len(self._from_file))
        except SettingInvalid as broken:
            # The keys that worked go on working: half a write must not lock everybody out.
            log.warning("keys_unreadable", reason=str(broken))

    def _file_state(self) -> tuple[int, int, int] | None:
        """Changes with the content, and with Kubernetes' swap of the link that the file is reached through."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size


def parse_inline(text: str) -> tuple[Key, ...]:
    """`KEY` (an admin) or `NAME:SCOPE+SCOPE:KEY`, separated by commas."""
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    return tuple(_inline_key(number, entry) for number, entry in enumerate(entries, start=1))


def _inline_key(number: int, entry: str) -> Key:
    name, _, rest = entry.partition(":")
    scopes, colon, key = rest.partition(":")
    if ":" not in entry or HASHED.fullmatch(entry):
        return _key(f"key{number}", "admin", entry, where=f"entry {number} of API_KEYS")
    if not colon:
        raise SettingInvalid(f"entry {number} of API_KEYS is malformed: KEY or NAME:SCOPE+SCOPE:KEY is allowed")
    return _key(name, scopes.replace("+", ","), key, where=f"entry {number} of API_KEYS")


def parse_file(text: str) -> tuple[Key, ...]:
    """A line is `NAME SCOPE,SCOPE KEY`, separated by white space; `#` begins a comment line."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1)]
    return tuple(_line_key(number, parts) for number, parts in lines if parts and not parts[0].startswith("#"))


def _line_key(number: int, parts: Sequence[str]) -> Key:
    where = f"line {number} of API_KEYS_FILE"
    if len(parts) != 3:
        raise SettingInvalid(f"{where} is malformed: NAME SCOPE,SCOPE KEY is allowed, separated by white space")
    return _key(*parts, where=where)


def _key(name: str, scopes: str, key: str, *, where: str) -> Key:
    if not NAME.fullmatch(name):
        raise SettingInvalid(f"{where} has a name that is not allowed: letters, digits, '.', '_' and '-'")
    try:
        permissions = frozenset(Permission(scope) for scope in scopes.split(","))
    except ValueError:
        raise SettingInvalid(f"{where} has a scope that is not allowed: query, ingest or admin") from None
    if not key:
        raise SettingInvalid(f"{where} has no key")
    hashed = HASHED.fullmatch(key)
    digest = bytes.fromhex(hashed.group(1)) if hashed else hashlib.sha256(key.encode()).digest()
    return Key(name, digest, permissions)


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return parse_file(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as unreadable:
        raise SettingInvalid(f"API_KEYS_FILE={str(path)!r} cannot be read as UTF-8 text: {unreadable}") from None
