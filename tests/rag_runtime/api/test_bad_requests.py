"""Whatever is sent: a 4xx problem object with a request id, no traceback, and the service goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.rag_runtime.bad_files import EVERY
from tests.rag_runtime.bad_requests import ASKED, FORM, MCP, POSTED, part
from tests.rag_runtime.memory import resident_mb
from tests.rag_runtime.running import Running, running

# What the largest of the requests, 10 MB of empty arrays, may leave in the allocator.
SLACK_MB = 150


@pytest.fixture(scope="module")
def before() -> int:
    return resident_mb()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Running]:
    async with running({"max_upload_mb": 4}) as started:
        await started.ingest()
        yield started


def check_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    # `error` is what OpenAI's clients read.
    assert set(problem) - {"errors", "error"} == {"type", "title", "status", "detail", "instance", "request_id"}
    assert (problem["status"], problem["request_id"]) == (status, response.headers["x-request-id"])
    assert "Traceback" not in response.text
    assert len(response.content) < 8000


async def check_serving(service: Running, before: int) -> None:
    assert resident_mb() < before + SLACK_MB
    assert (await service.ask("How many cars does the Northern Light carry?"))["citations"]


def test_they_are_many() -> None:
    requests = len(POSTED) + len(ASKED) + len(MCP)
    assert requests >= 120
    assert requests + len(EVERY) >= 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", list(POSTED))
async def test_it_is_refused_as_a_problem(service: Running, before: int, case: str) -> None:
    status, path, body, headers = POSTED[case]
    check_problem(await service.client.post(path, content=body, headers=headers), status)
    await check_serving(service, before)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "status"), ASKED, ids=[f"{m} {p[:40]}" for m, p, _ in ASKED])
async def test_what_is_not_there_or_not_allowed_is_a_problem(
    service: Running, before: int, method: str, path: str, status: int
) -> None:
    check_problem(await service.client.request(method, path), status)
    await check_serving(service, before)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", list(MCP))
async def test_an_agent_is_told_what_was_wrong(service: Running, before: int, case: str) -> None:
    status, words, body = MCP[case]
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    response = await service.client.post("/mcp", content=body, headers=headers)
    assert (response.status_code, words in response.text) == (status, True), response.text
    assert "Traceback" not in response.text
    await check_serving(service, before)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "question",
    [
        "🎉🎉🎉",
        "null byte \x00 inside",
        "\x1b[31mred",
        "'; DROP TABLE documents; --",
        "a" * 65_000,
        "؟ماذا",
        "e" + "\u0301" * 500,
    ],
)
async def test_an_odd_question_is_answered(service: Running, question: str) -> None:
    assert "answer" in await service.ask(question)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_field_is_named(service: Running) -> None:
    response = await service.client.post("/v1/query", json={"question": "What?", "top_k": 0, "extra": 1})
    assert {error["field"] for error in response.json()["errors"]} == {"top_k", "extra"}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_is_counted_as_it_comes_whatever_it_declares(service: Running) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield part("files", "big.txt", "x").encode().removesuffix(b"\r\n")
        for _ in range(100):
            yield b"y" * 100_000

    response = await service.client.post("/v1/documents", content=endless(), headers=FORM)
    assert response.status_code == 413


@pytest.mark.asyncio(loop_scope="module")
async def test_a_request_id_is_taken_over_when_it_is_sane(service: Running) -> None:
    sane = await service.client.get("/livez", headers={"X-Request-Id": "abc-123"})
    odd = await service.client.get("/livez", headers={"X-Request-Id": 'a"\tb'})
    assert sane.headers["x-request-id"] == "abc-123"
    assert odd.headers["x-request-id"].isalnum()
