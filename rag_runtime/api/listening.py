"""Whoever goes away ends what is done for him: a language model's answer that nobody reads is paid for all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from rag_runtime.answer import Asked
from rag_runtime.domain import Answer
from rag_runtime.service import Service

Result = TypeVar("Result")


async def answered(request: Request, service: Service, asked: Asked) -> Answer:
    """Quotes are made in milliseconds; only for a model's answer it is worth to look whether the caller is there."""
    answer = service.answerer.answer(asked)
    return await (while_connected(request, answer) if service.generator is not None else answer)


async def while_connected(request: Request, work: Coroutine[object, object, Result]) -> Result:
    """What the work comes to. Where the caller leaves it is cancelled, and ClientDisconnect raised."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(request.receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        unfinished = [task for task in (working, gone) if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
