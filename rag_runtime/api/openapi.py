"""What the routes cannot say of themselves in the OpenAPI: keys, groups, and examples that can be sent as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from rag_runtime.api.problems import described
from rag_runtime.api.schemas import Problem
from rag_runtime.api.security import is_open

Schema = dict[str, Any]

KEYS: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: KEY`"},
}
TAGS = [
    {"name": "questions", "description": "Answers that cite, and the chunks behind them. Scope `query`."},
    {"name": "documents", "description": "Documents in, and what became of them. Scope `ingest`."},
    {"name": "operation", "description": "Probes and metrics need no key; `/debug` is for scope `admin`."},
]
HIT = {
    "id": "3c1e0f4e-5a0c-5b3e-9d53-0d5f2f1f7a11",
    "document_id": "8f7c6c1e-29d3-5c0a-8a8e-0c4a4f0f2d10",
    "source": "crew-handbook.pdf",
    "page": 2,
    "row": None,
    "page_last": 2,
    "row_last": None,
    "text": "Boarding closes twenty minutes before departure for vehicles.",
    "score": 0.0328,
}
FILE = {
    "source": "crew-handbook.pdf",
    "document_id": HIT["document_id"],
    "status": "stored",
    "chunks": 4,
    "error": None,
}
CITATION = {name: value for name, value in HIT.items() if name not in ("id", "page_last", "row_last")}
JOB = {"id": "5f0f1a0c2b6e4d0f9a3c", "status": "succeeded", "created_at": 1767225600.0, "files": [FILE], "warnings": []}
DOCUMENT = {
    "id": HIT["document_id"],
    "source": "crew-handbook.pdf",
    "format": "pdf",
    "content_hash": "9b74c9897bac770ffc029102a200c5de",
    "metadata": {},
}
QUESTION = {"question": "When does boarding close for vehicles?", "top_k": 5}
CHAT = {"model": "ragops", "messages": [{"role": "user", "content": QUESTION["question"]}]}
HEALTH = {
    "status": "ok",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "checks": {
        name: {"status": "ok", "latency_ms": 0.4, "error": None}
        for name in ("database", "embeddings", "llm", "memory", "disk")
    },
}
# What a reader of the page may send as it stands, by method and path.
REQUESTS: dict[tuple[str, str], object] = {
    ("post", "/v1/query"): QUESTION,
    ("post", "/v1/retrieve"): {"query": "life jackets", "top_k": 3},
    ("post", "/v1/documents"): {
        "documents": [{"id": "note-1", "source": "note.txt", "text": "The office closes at noon on Fridays."}]
    },
    ("post", "/v1/chat/completions"): CHAT,
    ("post", "/v1/feedback"): {"request_id": "5f0f1a0c2b6e4d0f9a3c7d1b2e4f6a80", "rating": "up", "comment": ""},
}
ANSWERS: dict[tuple[str, str], object] = {
    ("post", "/v1/query"): {
        "answer": "Boarding closes twenty minutes before departure for vehicles [1].",
        "citations": [CITATION],
        "route": "lookup",
        "degraded": False,
        "degraded_reason": None,
        "timings_ms": {"embed": 0.4, "search": 1.1, "generate": 0.9, "total": 2.4},
    },
    ("post", "/v1/retrieve"): {
        "hits": [{**HIT, "explain": {"dense": {"rank": 1, "score": 0.71}, "sparse": {"rank": 1, "score": 9.3}}}],
        "timings_ms": {"embed": 0.4, "search": 1.1},
    },
    ("post", "/v1/documents"): {"job_id": JOB["id"]},
    ("get", "/v1/documents"): {"documents": [DOCUMENT], "next": None},
    ("get", "/v1/documents/{document_id}"): {**DOCUMENT, "chunks": 4},
    ("delete", "/v1/documents"): {"deleted": 12},
    ("delete", "/v1/documents/{document_id}"): {"deleted": 1},
    ("get", "/v1/jobs/{job_id}"): JOB,
    ("get", "/health"): HEALTH,
    ("get", "/ready"): {"status": "ready"},
    ("get", "/livez"): {"status": "ok"},
    ("get", "/debug/memory"): {
        "resident_bytes": {"serving": 183500800, "store": 94371840},
        "total_bytes": 277872640,
        "limit_bytes": 4294967296,
        "threshold_mb": 0,
        "over_threshold": False,
    },
    ("get", "/debug/models"): {
        "dense": {"name": "bundled", "loaded": True, "bytes": 32768000},
        "sparse": {"name": "Qdrant/bm25", "loaded": True, "bytes": 0},
        "colbert": {"name": None, "loaded": False, "bytes": 0},
    },
}


def install(app: FastAPI) -> None:
    """Complete the description when it is first asked for."""
    described = app.openapi

    def complete() -> Schema:
        if app.openapi_schema is None:
            _complete(described())
        assert app.openapi_schema is not None  # noqa: S101 - `described` has set it
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _complete(schema: Schema) -> None:
    schema["tags"] = TAGS
    schema["components"]["securitySchemes"] = KEYS
    schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    for method, path, operation in operations(schema):
        if not is_open(path):
            operation["security"] = [{name: []} for name in KEYS]
        for status in _further_errors(path, operation):
            operation["responses"].setdefault(str(status), described(status))
        _add_example(operation.get("requestBody", {}), REQUESTS.get((method, path)))
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                _add_example(response, ANSWERS.get((method, path)))
                break


def _further_errors(path: str, operation: Schema) -> Iterator[int]:
    """Beyond those of every route: what a body, a path or a deadline may bring."""
    if "requestBody" in operation:
        yield from (400, 413, 415, 504)
    if "{" in path:
        yield 404
    if path in ("/ready", "/health"):
        yield 503


def operations(schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _add_example(body: Schema, example: object) -> None:
    content = body.get("content", {}).get("application/json")
    if example is not None and content is not None:
        content.setdefault("example", example)
