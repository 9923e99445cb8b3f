"""Do watches bring anything at all? The leader's own Lease changes every other second, and must be heard to.

A stream that a balancer forgot stays open and silent; a process that hears nothing is better started anew.
"""

from __future__ import annotations

import asyncio

import structlog

from rag_operator.errors import ApiError, Deaf, Forbidden
from rag_operator.kube import Client
from rag_operator.names import Ref

RETRY_SECONDS = 2.0

log = structlog.get_logger()


async def listen(api: Client, lease: Ref, *, patience_seconds: float) -> None:
    """For ever; Deaf when nothing was heard for so long."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience_seconds) as silence:
            while True:
                try:
                    async for _ in api.watch(lease):
                        silence.reschedule(loop.time() + patience_seconds)
                except Forbidden as refused:
                    log.warning("watches go unchecked", error=f"{refused}: upgrade the operator's Role")
                    silence.reschedule(None)
                    await asyncio.Event().wait()
                except ApiError as away:
                    log.info("canary not heard", error=str(away))
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise Deaf(f"no watch brought a change of {lease} for {patience_seconds:g} s") from None
