"""Qdrant's REST API, as far as ragops uses it: reads a request, asks the storage, words the answer as Qdrant does."""

import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import qdrant_edge as edge
from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client.http import models
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.qdrant_server import convert
from tests.qdrant_server.answers import Refusal, bad_input
from tests.qdrant_server.storage import Collection, Storage

# The version of the API whose models the installed client has; ragops refuses servers that are too old.
VERSION = "1.18.0"
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/livez"})
FLUSH_SECONDS = 5.0

Answer = Callable[["Call"], Any]


class Call:
    """One request to one collection, with its body."""

    def __init__(self, storage: Storage, request: Request, body: bytes) -> None:
        self.storage = storage
        self.name: str = request.path_params.get("collection", "")
        self.wait = request.query_params.get("wait", "false") == "true"
        self._body = body

    def collection(self) -> Collection:
        return self.storage.find(self.name)

    def read(self, model: Any) -> Any:
        try:
            return TypeAdapter(model).validate_json(self._body or b"{}")
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            raise Refusal(400, f"Format error in JSON body: {first['loc']}: {first['msg']}") from problem


def get_collections(call: Call) -> Any:
    described = [models.CollectionDescription(name=name) for name in call.storage.collections]
    return models.CollectionsResponse(collections=described)


def get_collection(call: Call) -> Any:
    collection = call.collection()
    made_as, shard = collection.made_as, collection.shard.info()
    hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000} | _given(made_as.hnsw_config)
    optimizers = {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "flush_interval_sec": 5,
    } | _given(made_as.optimizers_config)
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        points_count=shard.points_count,
        indexed_vectors_count=shard.indexed_vectors_count,
        segments_count=shard.segments_count,
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=made_as.vectors or {},
                sparse_vectors=made_as.sparse_vectors,
                shard_number=made_as.shard_number or 1,
                replication_factor=made_as.replication_factor or 1,
                write_consistency_factor=made_as.write_consistency_factor or 1,
            ),
            hnsw_config=models.HnswConfig(**hnsw),
            optimizer_config=models.OptimizersConfig(**optimizers),
            quantization_config=made_as.quantization_config,
            metadata=made_as.metadata,
        ),
        payload_schema={
            name: models.PayloadIndexInfo(data_type=kind, points=shard.points_count)
            for name, kind in collection.fields.items()
        },
    )


def _given(settings: BaseModel | None) -> dict[str, Any]:
    return settings.model_dump(exclude_none=True) if settings else {}


def create_collection(call: Call) -> Any:
    call.storage.create(call.name, call.read(models.CreateCollection))
    return True


def update_collection(call: Call) -> Any:
    """What is given is merged into what was; of the settings nothing here obeys them."""
    call.collection().change(call.read(models.UpdateCollection))
    return True


def delete_collection(call: Call) -> Any:
    return call.storage.delete(call.name)


def collection_exists(call: Call) -> Any:
    known = call.name in call.storage.collections or call.name in call.storage.aliases
    return models.CollectionExistence(exists=known)


def get_aliases(call: Call) -> Any:
    described = [models.AliasDescription(alias_name=a, collection_name=c) for a, c in call.storage.aliases.items()]
    return models.CollectionsAliasesResponse(aliases=described)


def change_aliases(call: Call) -> Any:
    call.storage.change_aliases(call.read(models.ChangeAliasesOperation).actions)
    return True


def create_field_index(call: Call) -> Any:
    asked = call.read(models.CreateFieldIndex)
    if not isinstance(asked.field_schema, models.PayloadSchemaType):
        raise bad_input("this test server knows field types only, without parameters")
    return call.collection().index_field(asked.field_name, asked.field_schema, wait=call.wait)


def upsert_points(call: Call) -> Any:
    return call.collection().update(convert.upsert(call.read(models.PointsList)), wait=call.wait)[0]


def delete_points(call: Call) -> Any:
    return call.collection().update(convert.delete(call.read(models.PointsSelector)), wait=call.wait)[0]


def set_payload(call: Call) -> Any:
    return call.collection().update(convert.set_payload(call.read(models.SetPayload)), wait=call.wait)[0]


def update_batch(call: Call) -> Any:
    operations = [_operation(asked) for asked in call.read(models.UpdateOperations).operations]
    return call.collection().update(*operations, wait=call.wait)


def _operation(asked: Any) -> Any:
    match asked:
        case models.UpsertOperation(upsert=models.PointsList() as points):
            return convert.upsert(points)
        case models.SetPayloadOperation():
            return convert.set_payload(asked.set_payload)
        case models.DeleteOperation():
            return convert.delete(asked.delete)
    raise bad_input(f"this test server knows no {type(asked).__name__} in a batch")


def retrieve_points(call: Call) -> Any:
    asked = call.read(models.PointRequest)
    with_payload = True if asked.with_payload is None else convert.selector(asked.with_payload)
    records = call.collection().shard.retrieve(asked.ids, with_payload, asked.with_vector or False)
    return [convert.to_record(record) for record in records]


def scroll_points(call: Call) -> Any:
    asked = call.read(models.ScrollRequest)
    records, following = call.collection().shard.scroll(
        edge.ScrollRequest(
            offset=asked.offset,
            limit=10 if asked.limit is None else asked.limit,
            filter=convert.filter_(asked.filter),
            with_payload=True if asked.with_payload is None else convert.selector(asked.with_payload),
            with_vector=asked.with_vector or False,
            order_by=convert.order_by(asked.order_by),
        )
    )
    after = following if following is None or isinstance(following, int) else str(following)
    return models.ScrollResult(points=[convert.to_record(record) for record in records], next_page_offset=after)


def count_points(call: Call) -> Any:
    asked = call.read(models.CountRequest)
    counted = call.collection().shard.count(edge.CountRequest(exact=True, filter=convert.filter_(asked.filter)))
    return models.CountResult(count=counted)


def query_points(call: Call) -> Any:
    return _run([call.read(models.QueryRequest)], call)[0]


def query_batch(call: Call) -> Any:
    return _run(call.read(models.QueryRequestBatch).searches, call)


def _run(searches: list[models.QueryRequest], call: Call) -> list[models.QueryResponse]:
    batch = edge.QueryBatchRequest([convert.query_request(search) for search in searches])
    answers = call.collection().shard.query_batch(batch)
    return [models.QueryResponse(points=[convert.to_scored(point) for point in answer]) for answer in answers]


ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "/collections", get_collections),
    ("GET", "/collections/{collection}", get_collection),
    ("PUT", "/collections/{collection}", create_collection),
    ("PATCH", "/collections/{collection}", update_collection),
    ("DELETE", "/collections/{collection}", delete_collection),
    ("GET", "/collections/{collection}/exists", collection_exists),
    ("GET", "/aliases", get_aliases),
    ("POST", "/collections/aliases", change_aliases),
    ("PUT", "/collections/{collection}/index", create_field_index),
    ("PUT", "/collections/{collection}/points", upsert_points),
    ("POST", "/collections/{collection}/points", retrieve_points),
    ("POST", "/collections/{collection}/points/delete", delete_points),
    ("POST", "/collections/{collection}/points/payload", set_payload),
    ("POST", "/collections/{collection}/points/batch", update_batch),
    ("POST", "/collections/{collection}/points/scroll", scroll_points),
    ("POST", "/collections/{collection}/points/count", count_points),
    ("POST", "/collections/{collection}/points/query", query_points),
    ("POST", "/collections/{collection}/points/query/batch", query_batch),
)


def build(storage: Storage, api_key: str = "") -> Starlette:
    routes = [Route(path, _endpoint(answer, storage, api_key), methods=[method]) for method, path, answer in ROUTES]
    routes += [Route(path, _alive, methods=["GET"]) for path in ("/healthz", "/readyz", "/livez")]
    routes.append(Route("/", _version, methods=["GET"]))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_flush_now_and_then, storage)
            yield
            tasks.cancel_scope.cancel()
        storage.close()

    return Starlette(routes=routes, lifespan=lifespan)


async def _flush_now_and_then(storage: Storage) -> None:
    while True:
        await anyio.sleep(FLUSH_SECONDS)
        await run_in_threadpool(storage.flush)


def _endpoint(answer: Answer, storage: Storage, api_key: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        began = time.perf_counter()
        if api_key and not _has_key(request, api_key):
            return PlainTextResponse("Invalid API key or JWT", 401)
        try:
            call = Call(storage, request, await request.body())
            result = await run_in_threadpool(_refusing, answer, call)
        except Refusal as refusal:
            return _json({"status": {"error": refusal.reason}, "time": time.perf_counter() - began}, refusal.status)
        return _json({"result": result, "status": "ok", "time": time.perf_counter() - began})

    return endpoint


def _refusing(answer: Answer, call: Call) -> Any:
    try:
        return answer(call)
    except (Refusal, OSError):
        raise
    # The engine raises nothing narrower; the real server, too, answers 400 to what it cannot do.
    except Exception as problem:
        raise bad_input(str(problem)) from problem


def _has_key(request: Request, api_key: str) -> bool:
    sent = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(sent.encode(), api_key.encode())


def _json(body: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(body, default=lambda model: model.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
    return Response(text, status, media_type="application/json")


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("healthz check passed")


async def _version(_request: Request) -> Response:
    return JSONResponse({"title": "qdrant - vector search engine", "version": VERSION, "commit": "test server"})
