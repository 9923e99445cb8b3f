"""Answers as server-sent events: kept alive, ended in words, and given up when nobody listens any more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping

import structlog
from starlette.requests import Request
from starlette.responses import StreamingResponse

from rag_runtime.api.errors import in_request, problem_of
from rag_runtime.domain import AnswerEvent
from rag_runtime.errors import Overloaded, RagError
from rag_runtime.service import Runtime

log = structlog.get_logger(__name__)

# Shorter than the 30 to 60 s after which proxies take a silent connection for a dead one.
HEARTBEAT_SECONDS = 10.0
HEARTBEAT = b": still here\n\n"
# The second is nginx's own: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

# One event, as OpenAPI describes it: https://spec.openapis.org/oas/v3.2.0.html#server-sent-event-streams
EVENT_SCHEMA = {
    "type": "object",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "contentMediaType": "application/json"}},
}

Render = Callable[[AnswerEvent], Iterable[bytes]]
Fail = Callable[[Mapping[str, object]], Iterable[bytes]]


def message(data: object, *, event: str | None = None) -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


async def respond(
    request: Request, events: AsyncGenerator[AnswerEvent, None], *, render: Render, fail: Fail
) -> StreamingResponse:
    """What fails before the first event raises, so that it has a status of its own; later ones end the stream."""
    runtime: Runtime = request.app.state.runtime
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise

    async def body() -> AsyncIterator[bytes]:
        try:
            for line in render(first):
                yield line
            async for event in alive(events, runtime.ending, seconds=HEARTBEAT_SECONDS):
                for line in render(event) if event is not None else (HEARTBEAT,):
                    yield line
        except Exception as failed:  # the status is out: whatever it was, the last event says it
            if not isinstance(failed, RagError | TimeoutError):
                log.exception("stream_failed")
            for line in fail(in_request(request.scope, problem_of(failed))):
                yield line

    return StreamingResponse(body(), media_type="text/event-stream", headers=HEADERS)


async def alive(
    events: AsyncGenerator[AnswerEvent, None], ending: asyncio.Event, *, seconds: float
) -> AsyncGenerator[AnswerEvent | None, None]:
    """The events, and None whenever none came for so long. Raises Overloaded when the service ends before they do."""
    ended = asyncio.create_task(ending.wait())
    upcoming: asyncio.Task[AnswerEvent] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.create_task(_next(events))
            await asyncio.wait({upcoming, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not upcoming.done():
                raise Overloaded("the service is stopping: what came so far is not the whole answer, ask again")
            if not upcoming.done():
                yield None
                continue
            done, upcoming = upcoming, None
            try:
                event = done.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        ended.cancel()
        # Who is cancelled here is so again at every await, which must not reach what closes the model's connection.
        closing = asyncio.create_task(_close(events, upcoming))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)
        await asyncio.shield(closing)


# The loop itself holds tasks weakly.
_CLOSING: set[asyncio.Task[None]] = set()


async def _close(events: AsyncGenerator[AnswerEvent, None], upcoming: asyncio.Task[AnswerEvent] | None) -> None:
    if upcoming is not None:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
    await events.aclose()


async def _next(events: AsyncGenerator[AnswerEvent, None]) -> AnswerEvent:
    return await anext(events)
