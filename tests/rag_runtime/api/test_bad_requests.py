"""Whatever is sent: a 4xx problem object with a request id, no traceback, and the service goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.rag_runtime.running import Running, running

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=xx"}


def part(name: str, filename: str | None, content: str) -> str:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{content}\r\n'


def query(**fields: Any) -> bytes:
    return json.dumps({"question": "What?", **fields}).encode()


def documents(*items: Any) -> bytes:
    return json.dumps({"documents": list(items)}).encode()


CASES: dict[str, tuple[int, str, bytes | str, dict[str, str]]] = {
    "no JSON": (400, "/v1/query", "{question", JSON),
    "cut off": (400, "/v1/query", '{"question": "What', JSON),
    "nothing": (422, "/v1/query", "", JSON),
    "NaN": (400, "/v1/query", '{"question": "What?", "top_k": NaN}', JSON),
    "Infinity": (400, "/v1/query", '{"question": "What?", "top_k": -Infinity}', JSON),
    "a key twice": (400, "/v1/query", '{"question": "a", "question": "b"}', JSON),
    "100,000 brackets": (400, "/v1/query", "[" * 100_000, JSON),
    "100,000 objects": (400, "/v1/query", '{"a":' * 100_000, JSON),
    "an integer of 5,000 digits": (400, "/v1/query", '{"question": "a", "top_k": ' + "9" * 5000 + "}", JSON),
    "not UTF-8": (400, "/v1/query", b'{"question": "\xff\xfe"}', JSON),
    "a list": (422, "/v1/query", "[]", JSON),
    "null": (422, "/v1/query", "null", JSON),
    "2 MB of question": (413, "/v1/query", query(question="a" * 2_000_000), JSON),
    "10 MB of empty arrays": (413, "/v1/query", "[" + "[]," * 3_300_000 + "[]]", JSON),
    "a question of 65,537 bytes": (422, "/v1/query", query(question="ä" * 32_769), JSON),
    "an empty question": (422, "/v1/query", query(question=""), JSON),
    "spaces": (422, "/v1/query", query(question=" \n\t"), JSON),
    "a lone surrogate": (422, "/v1/query", '{"question": "\\ud800"}', JSON),
    "a number for a question": (422, "/v1/query", query(question=5), JSON),
    "top_k 0": (422, "/v1/query", query(top_k=0), JSON),
    "top_k -1": (422, "/v1/query", query(top_k=-1), JSON),
    "top_k 101": (422, "/v1/query", query(top_k=101), JSON),
    "top_k 1e9": (422, "/v1/query", query(top_k=10**9), JSON),
    "top_k as text": (422, "/v1/query", query(top_k="5"), JSON),
    "top_k 2.5": (422, "/v1/query", query(top_k=2.5), JSON),
    "top_k null": (422, "/v1/query", query(top_k=None), JSON),
    "top_k true": (422, "/v1/query", query(top_k=True), JSON),
    "an unknown style": (422, "/v1/query", query(style="rhyming"), JSON),
    "an unknown field": (422, "/v1/query", query(is_admin=True), JSON),
    "another collection": (422, "/v1/query", query(collection="other"), JSON),
    "streaming that is no truth value": (422, "/v1/query", query(stream=1), JSON),
    "a filter, which is not there": (422, "/v1/query", query(filter={"team": "ops"}), JSON),
    "plain text": (415, "/v1/query", query(), {"content-type": "text/plain"}),
    "no content type": (415, "/v1/query", query(), {"content-type": ""}),
    "a wrong charset": (415, "/v1/query", query(), {"content-type": "application/json; charset=utf-16"}),
    "no query": (422, "/v1/retrieve", b"{}", JSON),
    "a form without boundary": (400, "/v1/documents", "x", {"content-type": "multipart/form-data"}),
    "a form cut off": (422, "/v1/documents", '--xx\r\nContent-Disposition: form-data; name="fi', FORM),
    "garbage for a form": (400, "/v1/documents", "garbage", FORM),
    "a form without files": (422, "/v1/documents", "--xx--\r\n", FORM),
    "files without names": (422, "/v1/documents", part("files", None, "text") + "--xx--\r\n", FORM),
    "an empty name": (422, "/v1/documents", part("files", "", "text") + "--xx--\r\n", FORM),
    "a name of dots and slashes": (422, "/v1/documents", part("files", "./", "text") + "--xx--\r\n", FORM),
    "another field": (422, "/v1/documents", part("file", "a.txt", "text") + "--xx--\r\n", FORM),
    "100,000 fields": (400, "/v1/documents", part("a", None, "") * 10_000 + "--xx--\r\n", FORM),
    "1,001 files": (
        400,
        "/v1/documents",
        "".join(part("files", f"{n}.txt", "x") for n in range(1001)) + "--xx--\r\n",
        FORM,
    ),
    "no documents": (422, "/v1/documents", documents(), JSON),
    "1,001 documents": (422, "/v1/documents", documents(*({"id": str(n), "text": "x"} for n in range(1001))), JSON),
    "a document without text": (422, "/v1/documents", documents({"id": "a"}), JSON),
    "a document of spaces": (422, "/v1/documents", documents({"id": "a", "text": "  "}), JSON),
    "a document without id and source": (422, "/v1/documents", documents({"text": "x"}), JSON),
    "an id of a line break": (422, "/v1/documents", documents({"id": "a\nb", "text": "x"}), JSON),
    "an id of 513 characters": (422, "/v1/documents", documents({"id": "a" * 513, "text": "x"}), JSON),
    "an id twice": (422, "/v1/documents", documents({"id": "a", "text": "x"}, {"id": "a", "text": "y"}), JSON),
    "nested metadata": (422, "/v1/documents", documents({"id": "a", "text": "x", "metadata": {"a": {}}}), JSON),
    "null metadata": (422, "/v1/documents", documents({"id": "a", "text": "x", "metadata": {"a": None}}), JSON),
    "metadata too large": (
        422,
        "/v1/documents",
        documents({"id": "a", "text": "x", "metadata": {"a": 2**63}}),
        JSON,
    ),
    "metadata of 1e999": (
        422,
        "/v1/documents",
        '{"documents": [{"id": "a", "text": "x", "metadata": {"a": 1e999}}]}',
        JSON,
    ),
    "65 entries of metadata": (
        422,
        "/v1/documents",
        documents({"id": "a", "text": "x", "metadata": {str(n): n for n in range(65)}}),
        JSON,
    ),
    "a million values": (413, "/v1/documents", "[" + "[]," * 600_000 + "[]]", JSON),
    "documents as XML": (415, "/v1/documents", "<x/>", {"content-type": "application/xml"}),
    "no such route": (404, "/v1/nothing", b"{}", JSON),
    "no such route at all": (404, "/../../etc/passwd", b"{}", JSON),
    "a method that is none": (405, "/v1/config", b"{}", JSON),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Running]:
    async with running({"max_upload_mb": 4}) as started:
        await started.ingest()
        yield started


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", list(CASES))
async def test_it_is_refused_as_a_problem(service: Running, case: str) -> None:
    status, path, body, headers = CASES[case]
    response = await service.client.post(path, content=body, headers=headers)
    assert response.status_code == status, response.text
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "instance", "request_id"}
    assert (problem["status"], problem["request_id"]) == (status, response.headers["x-request-id"])
    assert "Traceback" not in response.text
    assert len(response.content) < 4000


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
@pytest.mark.parametrize("path", ["/v1/documents?limit=0", "/v1/documents?limit=x", "/v1/documents?limit=1001"])
async def test_a_wrong_parameter_is_refused(service: Running, path: str) -> None:
    response = await service.client.get(path)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "limit")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/v1/jobs/none", "/v1/documents/none", "/v1/documents/a/b/c", "/v1/documents/%00"])
async def test_what_is_not_there_is_404(service: Running, path: str) -> None:
    assert (await service.client.get(path)).status_code == 404


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
