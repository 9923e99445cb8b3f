"""Errors as problem objects (RFC 9457): one table, for whole requests and for single files. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rag_runtime import errors

TYPE_PREFIX = "https://ragops.dev/problems/"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one class of error is to a caller."""

    slug: str
    title: str
    status: int

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.slug


INTERNAL = Kind("internal-error", "Internal error", 500)
# The nearest class in an error's family decides, so a branch's own line stands for all that has none.
KINDS: dict[type[errors.RagError], Kind] = {
    errors.RequestError: Kind("invalid-request", "Invalid request", 422),
    errors.DocumentUnreadable: Kind("document-unreadable", "Document unreadable", 422),
    errors.Conflict: Kind("conflict", "Not now", 409),
    errors.NotFound: Kind("not-found", "Not found", 404),
    errors.TooLarge: Kind("too-large", "Too large", 413),
    errors.UnsupportedType: Kind("unsupported-type", "Unsupported type", 415),
    errors.Unavailable: Kind("unavailable", "Unavailable", 503),
    errors.Overloaded: Kind("overloaded", "Overloaded", 503),
    errors.StoreUnavailable: Kind("store-unavailable", "Vector store unavailable", 503),
    errors.GeneratorUnavailable: Kind("generator-unavailable", "Language model unavailable", 503),
    # The service cannot work until somebody mends a setting: for a caller that is "not now".
    errors.Misconfigured: Kind("misconfigured", "Service misconfigured", 503),
}


def kind_of(error: BaseException) -> Kind:
    return next((KINDS[family] for family in type(error).__mro__ if family in KINDS), INTERNAL)


def to_problem(error: BaseException) -> dict[str, object]:
    """The object for an error; one that is not ours says nothing of itself."""
    kind = kind_of(error)
    detail = str(error) if isinstance(error, errors.RagError) else "This was not expected; the log has more."
    return {"type": kind.type, "title": kind.title, "status": kind.status, "detail": detail}
