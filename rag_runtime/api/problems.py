"""The errors that a route may answer with, as the OpenAPI page shows them."""

from __future__ import annotations

from typing import Any

from rag_runtime.api import schemas

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/problem+json": {"schema": schemas.Problem.model_json_schema()}},
    }
    for status, text in {
        401: "No valid key",
        403: "The key has no scope for that",
        413: "Too large",
        415: "A type that is not read",
        422: "Not allowed as it was sent",
        429: "Too many requests: Retry-After",
        503: "Not now: Retry-After",
    }.items()
}
