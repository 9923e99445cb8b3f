"""JSON as the API takes it: no NaN, no key twice, no towers of brackets. Whatever is odd is the caller's 4xx."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, NoReturn, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# A value costs up to a hundred times its two bytes once it is an object.
MAX_VALUES = 500_000
LARGE_BYTES = 64 * 1024


class StrictJsonRoute(APIRoute):
    """A route whose JSON body is read strictly, and refused by its content type before it is read at all."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if self.body_field is not None:
                require_json(request)
            return await original(StrictRequest(request.scope, request.receive))

        return handler


class DirectJsonRoute(StrictJsonRoute):
    """For an endpoint of `request` and `body`, a model, that makes its own response: what is right goes straight to it.

    FastAPI's way there costs more than the endpoint's own; what is wrong still goes it, and is told alike.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        fallback = APIRoute.get_route_handler(self)
        endpoint = self.endpoint
        model: type[BaseModel] = get_type_hints(endpoint)["body"]

        async def handler(request: Request) -> Response:
            require_json(request)
            strict = StrictRequest(request.scope, request.receive)
            if not await strict.body():
                return await fallback(strict)
            try:
                body = model.model_validate(await strict.json())
            except ValidationError:
                return await fallback(strict)
            response: Response = await endpoint(request=strict, body=body)
            return response

        return handler


class StrictRequest(Request):
    async def json(self) -> Any:
        return await read_json(self)


def require_json(request: Request) -> None:
    media_type, charset = content_type(request)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HTTPException(415, f"the content type is {media_type or 'missing'!r}: send application/json")
    if charset not in ("", "utf-8", "utf8"):
        raise HTTPException(415, f"the charset is {charset!r}: send JSON as UTF-8")


def content_type(request: Request) -> tuple[str, str]:
    """Media type and charset in lower case, empty where they are missing."""
    if request.headers.get("content-type") == "application/json":
        return "application/json", ""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    charset = header.get_param("charset", "")
    return media_type[:100], (charset if isinstance(charset, str) else "").lower()[:40]


async def read_json(request: Request) -> Any:
    data = await request.body()
    return parse_json(data) if len(data) < LARGE_BYTES else await asyncio.to_thread(parse_json, data)


def parse_json(data: bytes) -> Any:
    structure = STRING.sub(b"", data)
    if structure.count(b",") + structure.count(b"[") + structure.count(b"{") > MAX_VALUES:
        raise HTTPException(413, f"the JSON holds more than {MAX_VALUES} values: send less at once")
    try:
        return json.loads(data, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise HTTPException(400, "the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise HTTPException(400, "the JSON is not UTF-8") from None
    except ValueError as broken:
        raise HTTPException(400, f"the body is not valid JSON: {str(broken)[:200]}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
