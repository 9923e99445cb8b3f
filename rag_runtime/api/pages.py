"""The pages: a playground and the API's description, without a byte from anybody else's server."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from rag_runtime import __version__
from rag_runtime.api.metrics import Metrics
from rag_runtime.errors import NotFound

# Only our own files are loaded and only our own API is called; Swagger UI has its icons as data.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PROTECTED = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
KEPT = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
SCRIPT = "swagger-ui-bundle.js"
OUR_FILES = Path(__file__).parent / "static"


def install(app: FastAPI, metrics: Metrics | None, *, playground: bool = True) -> None:
    """Add `/`, `/docs`, `/static/*` and, where there are metrics, `/metrics`."""
    files = _files()

    @app.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        """The playground for browsers, and for everybody else where to look."""
        if playground and "text/html" in request.headers.get("accept", ""):
            return _page("playground.html")
        names = {"name": app.title, "version": __version__, "docs": "/docs", "openapi": "/openapi.json"}
        return JSONResponse(names, headers={"Vary": "Accept"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        if SCRIPT not in files:
            raise NotFound("the page needs the package fastapi-offline; /openapi.json is there without it")
        return _page("docs.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise NotFound("there is no such file")
        return FileResponse(files[name], headers=KEPT)

    if metrics is not None:

        @app.get(
            "/metrics",
            tags=["operation"],
            summary="For Prometheus",
            response_class=Response,
            responses={200: {"content": {"text/plain": {"example": "rag_active_connections 1.0"}}}},
        )
        async def exposition() -> Response:
            return metrics.exposition()


def _page(name: str) -> Response:
    return HTMLResponse((OUR_FILES / name).read_text(encoding="utf-8"), headers={**PROTECTED, "Vary": "Accept"})


def _files() -> dict[str, Path]:
    """By the name under /static: Swagger UI as the package fastapi-offline brings it, and what starts it."""
    ours = {path.name: path for path in OUR_FILES.iterdir() if path.suffix in (".css", ".js", ".svg")}
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        return ours
    theirs = Path(found.origin).parent / "static"
    return ours | {name: theirs / name for name in (SCRIPT, "swagger-ui.css")}
