"""What users think of answers: kept with the documents, counted, and read back by admins."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from rag_runtime.api.body import StrictJsonRoute
from rag_runtime.api.metrics import Metrics
from rag_runtime.api.problems import PROBLEMS
from rag_runtime.api.schemas import MAX_LISTED, Strict
from rag_runtime.api.security import Key
from rag_runtime.domain import Feedback
from rag_runtime.ports import ChunkStore
from rag_runtime.service import Runtime

router = APIRouter(prefix="/v1", tags=["questions"], route_class=StrictJsonRoute, responses=PROBLEMS)

MAX_COMMENT_CHARACTERS = 4000
_SPACE = uuid.UUID("0b9d6c0e-5d43-5f5e-8a54-3d1f0b7a2c61")


class FeedbackRequest(Strict):
    """`request_id` is the answer's: in its body, its `X-Request-Id`, and after `chatcmpl-` in a chat's id."""

    request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    rating: Literal["up", "down"]
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARACTERS)] = ""


class FeedbackModel(BaseModel):
    """What was kept; `caller` is the name of the key that sent it."""

    id: str
    request_id: str
    rating: Literal["up", "down"]
    comment: str
    created_at: float
    caller: str

    @classmethod
    def of(cls, feedback: Feedback) -> Self:
        return cls(**asdict(feedback))


class FeedbackPage(BaseModel):
    """`next` is the `after` of the next page; null at the end."""

    feedback: list[FeedbackModel]
    next: str | None


@router.post("/feedback", status_code=201, summary="Rate an answer; a second rating by the same key replaces the first")
async def post_feedback(request: Request, body: FeedbackRequest) -> FeedbackModel:
    caller: Key = request.state.caller
    feedback = Feedback(
        id=str(uuid.uuid5(_SPACE, f"{body.request_id} {caller.name}")),
        request_id=body.request_id,
        rating=body.rating,
        created_at=time.time(),
        comment=body.comment,
        caller=caller.name,
    )
    await (await _store(request)).put_feedback(feedback)
    metrics: Metrics = request.app.state.metrics
    metrics.feedback(feedback.rating)
    return FeedbackModel.of(feedback)


@router.get("/feedback", summary="The ratings, page by page")
async def list_feedback(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> FeedbackPage:
    found, following = await (await _store(request)).list_feedback(limit=limit, after=after)
    return FeedbackPage(feedback=[FeedbackModel.of(one) for one in found], next=following)


async def _store(request: Request) -> ChunkStore:
    runtime: Runtime = request.app.state.runtime
    return (await runtime.serving()).store
