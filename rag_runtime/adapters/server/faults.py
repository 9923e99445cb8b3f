"""What went wrong with the server, in the runtime's own errors; the client's and the transports' stop here.

A message never repeats a header or a URL, so no key can be in it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import grpc  # type: ignore[import-untyped]
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse
from qdrant_client.http.models import UpdateResult, UpdateStatus

from rag_runtime.errors import RagError, StoreRejected, StoreUnavailable


class Unconfirmed(Exception):
    """The server took a write but did not say that it is done."""


# What the client lets through when an answer is no JSON, as a proxy's page, or a tower of it.
_NO_JSON = (json.JSONDecodeError, UnicodeDecodeError, RecursionError)
# All that the client raises on its own behalf; its `assert`s are there for answers without a result.
CLIENT_ERRORS = (ApiException, QdrantException, grpc.RpcError, httpx.HTTPError, AssertionError, Unconfirmed, *_NO_JSON)

_GRPC_REFUSALS = {
    grpc.StatusCode.UNAUTHENTICATED: "does not accept the API key",
    grpc.StatusCode.PERMISSION_DENIED: "does not allow this API key to do it",
    grpc.StatusCode.INVALID_ARGUMENT: "refuses the request",
    grpc.StatusCode.FAILED_PRECONDITION: "refuses the request",
    grpc.StatusCode.ALREADY_EXISTS: "refuses the request",
    grpc.StatusCode.OUT_OF_RANGE: "refuses the request",
    grpc.StatusCode.UNIMPLEMENTED: "does not know the request; is it older than Qdrant 1.16?",
}
_HTTP_REFUSALS = {
    401: "does not accept the API key; check QDRANT_API",
    403: "does not allow this API key to do it; check the rights of the key in QDRANT_API",
    413: "finds the request too large; lower QDRANT_MAX_POINTS_PER_UPSERT",
}


class Fault(NamedTuple):
    """`passing` ones may go away by themselves, at the earliest `after` seconds."""

    error: RagError
    passing: bool
    after: float = 0.0


def require_completed(*results: UpdateResult) -> None:
    """`acknowledged` and `wait_timeout` are promises, not facts."""
    for result in results:
        if result.status != UpdateStatus.COMPLETED:
            raise Unconfirmed(str(result.status.value))


def is_conflict(error: Exception) -> bool:
    """Whether somebody else has just made what was to be made."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 409 or (error.status_code == 400 and "already exists" in _reason(error))
    return isinstance(error, grpc.aio.AioRpcError) and (
        error.code() == grpc.StatusCode.ALREADY_EXISTS or "already exists" in (error.details() or "")
    )


def fault(error: Exception, *, doing: str, where: str) -> Fault:
    """What an exception of CLIENT_ERRORS means for whoever wanted `doing` from the server at `where`."""
    subject = f"Qdrant at {where}"
    if isinstance(error, (ResponseHandlingException, *_NO_JSON)):
        return _transport_fault(getattr(error, "source", error), subject, doing)
    match error:
        case UnexpectedResponse():
            return _http_fault(error, subject, doing)
        case ResourceExhaustedResponse():
            return Fault(StoreUnavailable(f"{subject} asks for patience ({doing})"), True, float(error.retry_after_s))
        case grpc.aio.AioRpcError():
            return _grpc_fault(error, subject, doing)
        case Unconfirmed():
            return Fault(StoreUnavailable(f"{subject} did not confirm a write ({doing}): it said {error}"), True)
    what = "answered without a result" if isinstance(error, AssertionError) else f"failed with {type(error).__name__}"
    return Fault(StoreUnavailable(f"{subject} {what} ({doing})"), False)


def _transport_fault(cause: Exception, subject: str, doing: str) -> Fault:
    match cause:
        case httpx.TimeoutException():
            return Fault(StoreUnavailable(f"{subject} did not answer in time ({doing}); see QDRANT_TIMEOUT"), True)
        case httpx.TransportError():
            reason = f"{type(cause).__name__}: {cause}".rstrip(": ")
            return Fault(StoreUnavailable(f"{subject} cannot be reached ({doing}): {reason}"), True)
        case RuntimeError() if not isinstance(cause, RecursionError):
            return Fault(StoreUnavailable(f"{subject} is not asked any more ({doing}): the store is closed"), False)
    return Fault(StoreRejected(f"{subject} answers unlike a Qdrant ({doing}): {type(cause).__name__}"), False)


def _http_fault(error: UnexpectedResponse, subject: str, doing: str) -> Fault:
    status = error.status_code or 0
    if status in {408, 425, 429} or status >= 500:
        message = f"{subject} answered {status} ({doing}): {_reason(error)}"
        return Fault(StoreUnavailable(message), True, _retry_after(error))
    if status == 404:
        return Fault(StoreUnavailable(f"{subject} has lost what was asked for ({doing}): {_reason(error)}"), False)
    if status in _HTTP_REFUSALS:
        return Fault(StoreRejected(f"{subject} {_HTTP_REFUSALS[status]} ({doing}, status {status})"), False)
    return Fault(StoreRejected(f"{subject} refuses the request ({doing}, status {status}): {_reason(error)}"), False)


def _grpc_fault(error: grpc.aio.AioRpcError, subject: str, doing: str) -> Fault:
    code, details = error.code(), (error.details() or "")[:200]
    if code in _GRPC_REFUSALS:
        return Fault(StoreRejected(f"{subject} {_GRPC_REFUSALS[code]} ({doing}): {details}"), False)
    return Fault(StoreUnavailable(f"{subject} failed ({doing}, {code.name}): {details}"), code.name != "NOT_FOUND")


def _reason(error: UnexpectedResponse) -> str:
    try:
        reason = json.loads(error.content)["status"]["error"]
    except (ValueError, KeyError, TypeError):
        reason = error.reason_phrase or "no reason given"
    return str(reason)[:200]


def _retry_after(error: UnexpectedResponse) -> float:
    try:
        return max(0.0, float(error.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
