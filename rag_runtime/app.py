"""The composition root: settings to adapters, adapters to pipelines, pipelines to an ASGI application."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from rag_runtime import __version__
from rag_runtime.adapters import tracing, tuning
from rag_runtime.adapters.extractive import ExtractiveGenerator
from rag_runtime.adapters.fastembed import BM25
from rag_runtime.adapters.indexes import index_name
from rag_runtime.adapters.measured import MeasuredEmbedder, MeasuredGenerator, MeasuredStore, Observe
from rag_runtime.adapters.tracing import Traced, Tracing
from rag_runtime.answer import Answerer
from rag_runtime.api import agents, chat, debug, errors, feedback, health, memory, openapi, pages, routes
from rag_runtime.api.gate import Gate, RequestContext
from rag_runtime.api.limits import BodyLimit, RateLimiter
from rag_runtime.api.metrics import Metrics
from rag_runtime.api.security import KeyRing
from rag_runtime.caching import CachedAnswerer, CachedRetriever, ResponseCache
from rag_runtime.calling import Caller
from rag_runtime.chunking import CHUNKER_VERSION, ChunkLimits, chunk_document
from rag_runtime.domain import Chunk, Document, PlaceKind
from rag_runtime.errors import Overloaded, SettingInvalid
from rag_runtime.files import FileLoader
from rag_runtime.ingest import Ingester
from rag_runtime.jobs import JobOptions, JobRunner
from rag_runtime.ports import ChunkStore, Embedder, Generator, IndexSpec, Tokenizer
from rag_runtime.retrieve import Retriever
from rag_runtime.routing import Router
from rag_runtime.service import Runtime, Service
from rag_runtime.settings import Settings
from rag_runtime.weakness import UNRELATED_BELOW

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """Stand-ins for what the settings would choose; None leaves the choice to them."""

    embedder: Embedder | None = None
    store: ChunkStore | None = None
    generator: Generator | None = None


def create_app(
    settings: Settings,
    ports: Ports | None = None,
) -> FastAPI:
    """Nothing is opened before the lifespan begins. Raises SettingInvalid for keys that cannot be read."""
    metrics = Metrics()
    traces = tracing.start(settings.otel_exporter_otlp_endpoint)
    if traces is not None:
        metrics.on_stage = traces.stage
    runtime = Runtime(
        lambda: build_service(settings, metrics, ports or Ports()),
        preload=settings.preload_models,
        grace_seconds=settings.shutdown_grace,
    )
    monitor = health.Monitor(
        health.probes(runtime, data_dir=settings.data_dir, memory_threshold_mb=settings.memory_threshold_mb),
        settings.health_check_interval,
    )
    tools = agents.Agents(runtime)
    app = FastAPI(
        title="ragops runtime",
        version=__version__,
        description="Documents in, cited answers out. Keys go into `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(runtime, monitor, tools, traces),
        middleware=_middleware(settings, metrics, traces),
    )
    app.state.runtime = runtime
    app.state.settings = settings
    app.state.metrics = metrics
    errors.install(app, on_store_failure=monitor.poke)
    app.include_router(routes.asking)
    app.include_router(routes.router)
    app.include_router(feedback.router)
    app.include_router(chat.router)
    if settings.mcp_enabled and agents.is_installed():
        app.router.routes.append(tools.route)
    app.include_router(health.build_router(runtime, monitor))
    app.include_router(debug.build_router(runtime, settings))
    pages.install(app, metrics if settings.metrics_enabled else None, playground=settings.playground_enabled)
    openapi.install(app)
    return app


def _lifespan(
    runtime: Runtime, monitor: health.Monitor, tools: agents.Agents, traces: Tracing | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        runtime.start()
        monitor.start(after=runtime.started)
        yield
        await tools.stop()
        await monitor.stop()
        await runtime.stop()
        if traces is not None:
            await asyncio.to_thread(traces.stop)

    return lifespan


def _middleware(settings: Settings, metrics: Metrics, traces: Tracing | None) -> list[Middleware]:
    """Outermost first: what is refused further in still has an id, a log line and its CORS headers."""
    stack = [Middleware(RequestContext, metrics=metrics)]
    if traces is not None:
        stack.append(Middleware(Traced, tracing=traces))
    if settings.cors_origins:
        stack.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=("GET", "POST", "DELETE"),
                allow_headers=("Authorization", "Content-Type", "X-API-Key", "X-Request-Id"),
                expose_headers=("X-Request-Id", "Retry-After", "Location"),
            )
        )
    limiter = RateLimiter(settings.rate_limit_requests, settings.rate_limit_window)
    stack.append(
        Middleware(Gate, keys=_keys(settings), limiter=limiter, metrics=metrics, origins=settings.cors_origins)
    )
    stack.append(Middleware(BodyLimit, upload_bytes=settings.max_upload_bytes))
    return stack


def _keys(settings: Settings) -> KeyRing | None:
    """The keys, if callers need one. They are read either way: a slip in them must not wait for the day they count."""
    keys = KeyRing(settings.api_keys.get_secret_value() if settings.api_keys else None, settings.api_keys_file)
    if not settings.api_key_required:
        return None
    if not len(keys):
        raise SettingInvalid(f"API_KEY_REQUIRED=1 needs a key, and API_KEYS_FILE={settings.api_keys_file} holds none")
    return keys


def build_service(settings: Settings, metrics: Metrics, ports: Ports) -> Service:
    """Load the models and choose the store. It blocks, and opens no store."""
    model = ports.embedder or _embedder(settings)
    spec = index_spec(settings, model)
    embedder = MeasuredEmbedder(model, _observer(metrics, "embedder", debug=settings.embedding_debug))
    store = MeasuredStore(
        ports.store or _store(settings, spec, metrics), _observer(metrics, "store", debug=settings.qdrant_debug)
    )
    cache = _cache(settings, store, metrics)
    store.on_change = cache.note_change
    generator = ports.generator or _generator(settings)
    measured = MeasuredGenerator(generator, metrics.stage) if generator else None
    runner = JobRunner(
        store,
        embedder,
        _chunker(settings, embedder.tokenizer, index_name(spec)),
        JobOptions(
            owner=f"{socket.gethostname()}-{uuid4().hex[:8]}",
            batch_size=settings.ingest_batch_size,
            sole_writer=settings.qdrant_url is None,
            retention_seconds=settings.job_retention,
        ),
        on_finished=metrics.document,
    )
    retriever = Retriever(
        embedder,
        store,
        score_floor=settings.score_floor,
        timeout_seconds=settings.qdrant_timeout,
        on_hits=metrics.results,
    )
    unrelated_below = None if ports.embedder else UNRELATED_BELOW.get(settings.embedding_model)
    answerer = Answerer(
        retriever,
        Router(settings.enable_local_routing, settings.summary_max_top_k, settings.style_detailed_max_words),
        Caller(measured, timeout_seconds=settings.gemini_timeout) if measured else None,
        ExtractiveGenerator(unrelated_below=unrelated_below),
        unrelated_below=unrelated_below,
        on_degraded=metrics.degraded,
        on_tokens=metrics.tokens,
    )
    loader = FileLoader()
    ingester = Ingester(store, loader, runner, accepts=_has_memory(settings.memory_threshold_mb))
    return Service(
        embedder,
        store,
        measured,
        runner,
        ingester,
        CachedRetriever(retriever, cache),
        CachedAnswerer(answerer, cache),
        _closer(loader, generator, model),
        model_bytes=getattr(model, "sizes", {}),
        drop_caches=cache.drop,
    )


def _cache(settings: Settings, store: ChunkStore, metrics: Metrics) -> ResponseCache:
    return ResponseCache(
        store.version,
        max_entries=settings.cache_max_entries,
        ttl_seconds=settings.cache_ttl,
        on_hit=metrics.cache_hit,
        on_miss=metrics.cache_miss,
    )


def index_spec(settings: Settings, embedder: Embedder) -> IndexSpec:
    """What decides whether two configurations may share an index: the models, the language and the chunking."""
    chunking = (
        f"{CHUNKER_VERSION} csv {settings.csv_chunk_tokens}/{settings.csv_chunk_max_tokens}"
        f" pdf {settings.pdf_chunk_tokens}/{settings.pdf_chunk_max_tokens}"
    )
    return IndexSpec(
        name=settings.collection_name,
        settings=(
            # What the models are, beyond their names, where the embedder can tell.
            *getattr(embedder, "identity", (("dense", embedder.model),)),
            ("chunking", chunking),
        ),
        dense_size=embedder.dense_size,
        late_size=embedder.late_size,
        sparse_idf=settings.sparse_model == BM25,
    )


def _closer(loader: FileLoader, generator: Generator | None, embedder: Embedder) -> Callable[[], Awaitable[None]]:
    """Ends what the adapters hold; the ports themselves know of no end, as most have nothing to close."""

    async def close_all() -> None:
        await asyncio.to_thread(loader.close)
        for holder in (generator, embedder):
            close = getattr(holder, "close", None)
            ended = close() if close else None
            if inspect.isawaitable(ended):
                await ended

    return close_all


def _chunker(settings: Settings, tokenizer: Tokenizer, index_key: str) -> Callable[[Document], Iterator[Chunk]]:
    rows = ChunkLimits(settings.csv_chunk_tokens, settings.csv_chunk_max_tokens)
    prose = ChunkLimits(settings.pdf_chunk_tokens, settings.pdf_chunk_max_tokens)

    def chunk(document: Document) -> Iterator[Chunk]:
        limits = rows if document.place_kind is PlaceKind.ROW else prose
        return chunk_document(document, limits, tokenizer, index_key=index_key)

    return chunk


def _embedder(settings: Settings) -> Embedder:
    from rag_runtime.adapters.fastembed import Models, load  # noqa: PLC0415 - as below

    embedder = load(
        Models(
            dense=settings.embedding_model,
            sparse=settings.sparse_model,
            language=settings.sparse_language,
            late=settings.late_interaction_model,
            cache_dir=settings.model_cache_dir,
            mirror_url=settings.model_mirror_url,
        )
    )
    limit = embedder.tokenizer.max_tokens
    for name in ("CSV_CHUNK_MAX_TOKENS", "PDF_CHUNK_MAX_TOKENS"):
        if (asked := getattr(settings, name.lower())) > limit:
            raise SettingInvalid(
                f"{name}={asked} is not allowed: {settings.embedding_model} sees {limit} tokens at most"
            )
    return embedder


def _store(settings: Settings, spec: IndexSpec, metrics: Metrics) -> ChunkStore:
    """Imported here, as each brings a library that the other mode can do without."""
    if settings.qdrant_url is None:
        from rag_runtime.adapters.qdrant_edge import QdrantEdge  # noqa: PLC0415

        return QdrantEdge(
            spec,
            settings.data_dir,
            owner=settings.collection_owner,
            adopt=settings.collection_adopt,
            tuning=tuning.from_settings(settings),
        )
    from rag_runtime.adapters.qdrant_server import QdrantServer  # noqa: PLC0415

    return QdrantServer(
        spec,
        settings.qdrant_url,
        api_key=settings.qdrant_api.get_secret_value() if settings.qdrant_api else None,
        timeout=settings.qdrant_timeout,
        prefer_grpc=settings.qdrant_prefer_grpc,
        max_points_per_upsert=settings.qdrant_max_points_per_upsert,
        retries=settings.qdrant_upsert_retries,
        backoff_base=settings.qdrant_upsert_backoff_base,
        owner=settings.collection_owner,
        adopt=settings.collection_adopt,
        tuning=tuning.from_settings(settings),
        on_retry=metrics.upsert_retried,
    )


def _generator(settings: Settings) -> Generator | None:
    """None: answers are quoted."""
    if settings.generation_provider != "gemini" or settings.gemini_api_key is None:
        return None
    from rag_runtime.adapters.gemini import GeminiGenerator, GeminiOptions  # noqa: PLC0415 - half a second to import

    return GeminiGenerator(
        GeminiOptions(
            api_key=settings.gemini_api_key.get_secret_value(),
            model=settings.gemini_model,
            timeout_seconds=settings.gemini_timeout,
            base_url=settings.gemini_base_url,
        )
    )


def _observer(metrics: Metrics, name: str, *, debug: bool) -> Observe:
    if not debug:
        return metrics.stage

    def observe(stage: str, seconds: float) -> None:
        metrics.stage(stage, seconds)
        log.info(f"{name}_call", stage=stage, duration_ms=round(seconds * 1000, 2))

    return observe


def _has_memory(threshold_mb: int) -> Callable[[], None]:
    def check() -> None:
        if memory.is_over(threshold_mb):
            raise Overloaded(
                f"this replica uses more than MEMORY_THRESHOLD_MB={threshold_mb}: send the documents later"
            )

    return check
