"""The /v1 routes: schema to domain, one pipeline call, domain to schema."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rag_runtime import __version__
from rag_runtime.answer import Asked
from rag_runtime.api import filters, schemas, sse
from rag_runtime.api.body import DirectJsonRoute, StrictJsonRoute, content_type, read_json, require_json
from rag_runtime.api.listening import answered
from rag_runtime.api.problems import PROBLEMS
from rag_runtime.domain import Answer, AnswerEvent, Cited, DocumentId, Found, Job, Wrote
from rag_runtime.errors import NotFound, Overloaded, RequestError, Unavailable
from rag_runtime.ingest import Upload
from rag_runtime.service import Runtime, Service
from rag_runtime.settings import Settings

HEAD_BYTES = 1024
MAX_FORM_FIELDS = 16
# How long `?wait=true` waits before it answers 202 after all.
WAIT_SECONDS = 600.0
COUNT_SECONDS = 5.0

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": sse.EVENT_SCHEMA}}, "description": "With stream: typed events"}
}
DOCUMENTS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/json": {"schema": schemas.DocumentsRequest.model_json_schema()},
        },
    }
}


router = APIRouter(prefix="/v1", route_class=StrictJsonRoute, responses=PROBLEMS)
# The two that are asked again and again.
asking = APIRouter(prefix="/v1", route_class=DirectJsonRoute, responses=PROBLEMS)


async def _service(request: Request) -> Service:
    runtime: Runtime = request.app.state.runtime
    return await runtime.serving()


@asking.post(
    "/query",
    tags=["questions"],
    summary="Ask the documents; the answer cites them",
    response_model=schemas.QueryResponse,
    responses=STREAMED,
)
async def query(request: Request, body: schemas.QueryRequest) -> Response:
    service = await _service(request)
    asked = Asked(body.question, body.top_k, body.style, filter=filters.to_domain(body.filter))
    request_id: str = request.state.request_id
    if body.stream:
        return await sse.respond(request, service.answerer.stream(asked), render=_typed(request_id), fail=_typed_error)
    answer = schemas.QueryResponse.of(await answered(request, service, asked), request_id)
    return Response(answer.model_dump_json(), media_type="application/json")


def _typed(request_id: str) -> sse.Render:
    """An answer's events by name, the data of each in the shape that the other routes give it."""

    def render(event: AnswerEvent) -> Iterator[bytes]:
        match event:
            case Found():
                hits = [schemas.hit_fields(hit) for hit in event.hits]
                yield sse.message({"hits": hits}, event="hits")
            case Wrote():
                yield sse.message({"text": event.text}, event="text")
            case Cited():
                yield sse.message({"number": event.number, **asdict(event.citation)}, event="citation")
            case Answer():
                yield sse.message(schemas.QueryResponse.of(event, request_id).model_dump(), event="done")

    return render


def _typed_error(problem: Mapping[str, object]) -> Iterator[bytes]:
    yield sse.message(problem, event="error")


@asking.post(
    "/retrieve",
    tags=["questions"],
    summary="Find the chunks that bear on a question",
    response_model=schemas.RetrieveResponse,
)
async def retrieve(request: Request, body: schemas.RetrieveRequest) -> Response:
    found = await (await _service(request)).retriever.retrieve(
        body.query, top_k=body.top_k, explain=body.explain, filter_=filters.to_domain(body.filter)
    )
    answer = {"hits": [schemas.hit_fields(hit) for hit in found.hits], "timings_ms": dict(found.timings_ms)}
    return Response(to_json(answer, inf_nan_mode="null"), media_type="application/json")


@router.post(
    "/documents",
    tags=["documents"],
    summary="Send documents: files, or texts as JSON",
    status_code=202,
    response_model=schemas.JobAccepted,
    responses={200: {"model": schemas.JobModel, "description": "With wait=true: the finished job"}},
    openapi_extra=DOCUMENTS_BODY,
)
async def post_documents(request: Request, wait: bool = False) -> Response:
    service = await _service(request)
    # Said before a large body is read.
    service.ingester.check_room()
    media_type, _ = content_type(request)
    if media_type == "multipart/form-data":
        form = await _read_form(request)
        try:
            job = await service.ingester.submit(_uploads_of_form(form))
        finally:
            await form.close()
    else:
        require_json(request)
        job = await service.ingester.submit(_uploads_of_json(await read_json(request)))
    if wait:
        job = await service.runner.wait(job.id, seconds=WAIT_SECONDS)
    return _accepted(job, whole=wait)


@router.get("/documents", tags=["documents"], summary="The documents, in order of id")
async def list_documents(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_LISTED)] = 100,
    after: Annotated[str | None, Query(max_length=1024)] = None,
) -> schemas.DocumentsPage:
    documents, following = await (await _service(request)).store.list_documents(limit=limit, after=after)
    return schemas.DocumentsPage(documents=[schemas.DocumentModel.of(d) for d in documents], next=following)


@router.delete("/documents", tags=["documents"], summary="Remove every document: confirm=all")
async def delete_documents(request: Request, confirm: str = "") -> schemas.Deleted:
    if confirm != "all":
        raise RequestError("this removes every document: add ?confirm=all")
    return schemas.Deleted(deleted=await (await _service(request)).ingester.delete_all())


@router.get("/documents/{document_id:path}", tags=["documents"], summary="One document")
async def get_document(request: Request, document_id: str) -> schemas.DocumentDetail:
    store = (await _service(request)).store
    document = await store.get_document(DocumentId(document_id))
    if document is None:
        raise NotFound(f"there is no document {document_id[:100]}")
    published = await store.published_version(document.id)
    model = schemas.DocumentModel.of(document)
    return schemas.DocumentDetail(**model.model_dump(), chunks=published[1] if published else 0)


@router.delete("/documents/{document_id:path}", tags=["documents"], summary="Remove a document and its chunks")
async def delete_document(request: Request, document_id: str) -> schemas.Deleted:
    if not await (await _service(request)).store.delete_document(DocumentId(document_id)):
        raise NotFound(f"there is no document {document_id[:100]}")
    return schemas.Deleted(deleted=1)


@router.get("/jobs/{job_id}", tags=["documents"], summary="What became of an ingest request")
async def get_job(request: Request, job_id: str) -> schemas.JobModel:
    return schemas.JobModel.of(await (await _service(request)).runner.find(job_id))


@router.post(
    "/jobs/{job_id}/retry",
    tags=["documents"],
    summary="Try again what failed by a passing cause, from the text that is kept",
    status_code=202,
    responses={409: {**PROBLEMS[422], "description": "The job is not finished"}},
)
async def retry_job(request: Request, job_id: str) -> schemas.RetryAccepted:
    job = await (await _service(request)).runner.retry(job_id)
    return schemas.RetryAccepted(
        job_id=job.id,
        queued=[file.source for file in job.files if file.status == "queued"],
        send_again=[file.source for file in job.files if file.status == "failed"],
    )


@router.get("/config", tags=["operation"], summary="The settings in force, secrets masked, and the limits")
async def get_config(request: Request) -> schemas.ConfigModel:
    runtime: Runtime = request.app.state.runtime
    model = runtime.service.embedder.model if runtime.is_started else None
    settings: Settings = request.app.state.settings
    return schemas.ConfigModel(
        version=__version__,
        model=model,
        points=await _points(runtime),
        settings=settings.masked(),
        limits=_limits(settings),
    )


async def _points(runtime: Runtime) -> int | None:
    """The chunks in the index; None while the store does not tell, for the settings are in force all the same."""
    if not runtime.is_started:
        return None
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            return await runtime.service.store.count()
    except (Unavailable, TimeoutError):
        return None


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "top_k": schemas.MAX_TOP_K,
        "documents_per_request": schemas.MAX_DOCUMENTS,
        "upload_bytes": settings.max_upload_bytes,
        "question_bytes": schemas.MAX_QUESTION_BYTES,
    }


async def _read_form(request: Request) -> FormData:
    """Its larger files lie in the folder for temporary files until the form is closed."""
    try:
        return await request.form(max_files=schemas.MAX_DOCUMENTS, max_fields=MAX_FORM_FIELDS)
    except OSError as full:
        reason = full.strerror or type(full).__name__
        raise Overloaded(f"the files cannot be kept while they are read ({reason}): try again later") from full


def _accepted(job: Job, *, whole: bool) -> Response:
    finished = job.status not in ("queued", "running")
    if whole and finished:
        return JSONResponse(schemas.JobModel.of(job).model_dump(mode="json"))
    return JSONResponse({"job_id": job.id}, 202, {"Location": f"/v1/jobs/{job.id}"})


def _uploads_of_json(body: object) -> list[Upload]:
    try:
        request = schemas.DocumentsRequest.model_validate(body)
    except ValidationError as invalid:
        raise RequestValidationError(invalid.errors(include_url=False, include_input=False)) from None
    return [_upload_of_text(document) for document in request.documents]


def _upload_of_text(document: schemas.TextDocument) -> Upload:
    data = document.text.encode()
    return Upload(
        source=document.source or document.id or "",
        head=data[:HEAD_BYTES],
        read=lambda: data,
        media_type="text/plain",
        is_text=True,
        id=document.id,
        metadata=document.metadata,
    )


def _uploads_of_form(form: FormData) -> list[Upload]:
    others = sorted({name[:50] for name, _ in form.multi_items() if name != "files"})
    if others:
        raise RequestError(f"the form has a field {others[0]!r}: send files in the field 'files', repeated")
    files = form.getlist("files")
    if not files:
        raise RequestError("the form has no files: send them in the field 'files', repeated")
    return [_upload_of_file(file) for file in files]


def _upload_of_file(file: UploadFile | str) -> Upload:
    if isinstance(file, str) or not file.filename:
        raise RequestError("a part of the form has no file name: send each file with one")
    head = file.file.read(HEAD_BYTES)
    return Upload(file.filename, head, lambda: _all_of(file), media_type=file.content_type)


def _all_of(file: UploadFile) -> bytes:
    file.file.seek(0)
    return file.file.read()
