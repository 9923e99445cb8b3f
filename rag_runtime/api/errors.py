"""Errors to responses: application/problem+json with the request's id, never a traceback and never the input."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rag_runtime.errors import RagError, StoreUnavailable
from rag_runtime.problems import TYPE_PREFIX, to_problem

RETRY_AFTER_SECONDS = "5"
MAX_SHOWN_ERRORS = 20
# Their clients expect an object `error` in every error; it stands beside ours.
OPENAI_PATHS = ("/v1/chat/completions", "/v1/models")
LATE = "the answer was not ready in time: try again"


def problem_response(
    scope: Scope, problem: Mapping[str, object], *, headers: Mapping[str, str] | None = None
) -> Response:
    status = int(str(problem["status"]))
    body = in_request(scope, problem)
    extra = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(
        # ASCII only, as a path may hold what UTF-8 cannot.
        json.dumps(body).encode(),
        status_code=status,
        media_type="application/problem+json",
        headers={**extra, **(headers or {})},
    )


def in_request(scope: Scope, problem: Mapping[str, object]) -> dict[str, object]:
    """The problem with the request that it came up in."""
    found = {**problem, "instance": scope["path"], "request_id": scope.get("state", {}).get("request_id", "")}
    return {**found, "error": _as_openai(problem)} if scope["path"].startswith(OPENAI_PATHS) else found


def _as_openai(problem: Mapping[str, object]) -> dict[str, object]:
    """The same for clients that look for OpenAI's shape: https://platform.openai.com/docs/guides/error-codes"""
    slug = str(problem["type"]).removeprefix(TYPE_PREFIX)
    return {"message": problem["detail"], "type": slug, "code": slug, "param": None}


def problem_of(error: Exception) -> dict[str, object]:
    """What an exception is to a caller, a passed deadline included."""
    return plain_problem(504, LATE) if isinstance(error, TimeoutError) else to_problem(error)


def plain_problem(
    status: int, detail: str, *, slug: str = "", errors: Sequence[Mapping[str, str]] = ()
) -> dict[str, object]:
    """A problem that is only the transport's: it has no error class of its own."""
    title = HTTPStatus(status).phrase
    name = slug or title.lower().replace(" ", "-")
    problem: dict[str, object] = {"type": TYPE_PREFIX + name, "title": title, "status": status, "detail": detail}
    return {**problem, "errors": list(errors)} if errors else problem


async def refuse(scope: Scope, receive: Receive, send: Send, problem: Mapping[str, object], **headers: str) -> None:
    """Answer with a problem from inside a middleware."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    await problem_response(scope, problem, headers=named)(scope, receive, send)


def install(app: FastAPI, *, on_store_failure: Callable[[], None]) -> None:
    """Register the handlers; a store that fails in a request is looked at again at once."""

    async def rag_error(request: Request, error: Exception) -> Response:
        if isinstance(error, StoreUnavailable):
            on_store_failure()
        return problem_response(request.scope, to_problem(error))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RagError: rag_error,
        RequestValidationError: _invalid,
        HTTPException: _http,
        TimeoutError: _late,
    }
    for family, handler in handlers.items():
        app.add_exception_handler(family, handler)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - how it was registered
    found = [{"field": _field(item["loc"]), "message": str(item["msg"])} for item in error.errors()[:MAX_SHOWN_ERRORS]]
    detail = "; ".join(f"{item['field'] or 'body'}: {item['message']}" for item in found[:3])
    return problem_response(request.scope, plain_problem(422, detail, slug="invalid-request", errors=found))


def _field(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location if part not in ("body", "query", "path"))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - how it was registered
    return problem_response(request.scope, plain_problem(error.status_code, error.detail), headers=error.headers)


async def _late(request: Request, error: Exception) -> Response:
    return problem_response(request.scope, problem_of(error), headers={"Retry-After": RETRY_AFTER_SECONDS})
