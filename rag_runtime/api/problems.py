"""The errors that a route may answer with, as the OpenAPI page shows them."""

from __future__ import annotations

from typing import Any

from rag_runtime.problems import TYPE_PREFIX

TEXTS = {
    400: "Not to be understood",
    401: "No valid key",
    403: "The key has no scope for that",
    404: "There is none",
    413: "Too large",
    415: "A type that is not read",
    422: "Not allowed as it was sent",
    429: "Too many requests: Retry-After",
    503: "Not now: Retry-After",
    504: "The deadline passed",
}
# What every route that needs a key may answer.
ALWAYS = (401, 403, 422, 429, 503)


def described(status: int) -> dict[str, Any]:
    title = TEXTS[status]
    example = {
        "type": TYPE_PREFIX + title.split(":")[0].lower().replace(" ", "-"),
        "title": title,
        "status": status,
        "detail": "One sentence that names the thing, the value and the remedy.",
        "instance": "/v1/query",
        "request_id": "5f0f1a0c2b6e4d0f9a3c7d1b2e4f6a80",
    }
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": title, "content": {"application/problem+json": content}}


PROBLEMS: dict[int | str, dict[str, Any]] = {status: described(status) for status in ALWAYS}
