"""The pages, the API's foremost: it works without a network, and describes every route so that it can be tried."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rag_runtime.api.openapi import operations
from rag_runtime.api.security import is_open
from rag_runtime.app import create_app
from rag_runtime.settings import Settings
from tests.rag_runtime.running import Running, running

DESCRIBED = create_app(Settings()).openapi()
OPERATIONS = [pytest.param(*each, id=f"{each[0]} {each[1]}") for each in operations(DESCRIBED)]


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running({"api_key_required": True, "api_keys": "k"}, wait=False) as started:
        yield started


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_and_all_that_it_loads_are_our_own_and_need_no_key(service: Running, path: str) -> None:
    page = await service.client.get(path, headers={"Accept": "text/html"})
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    for own in loaded:
        assert own.startswith(("/", "#"))
        assert (await service.client.get(own.partition("#")[0] or path)).status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_holds_no_script_of_its_own_that_the_policy_would_stop(service: Running, path: str) -> None:
    page = await service.client.get(path, headers={"Accept": "text/html"})
    assert re.findall(r"<script(?! src=)|<style| on\w+=", page.text) == []


@pytest.mark.parametrize("enabled", [True, False])
async def test_browsers_get_the_playground_and_programs_where_to_look(enabled: bool) -> None:
    async with running({"playground_enabled": enabled}, wait=False) as service:
        shown = await service.client.get("/", headers={"Accept": "text/html,*/*"})
        assert ("<title>ragops playground" in shown.text) is enabled
        assert (await service.client.get("/")).json()["docs"] == "/docs"


@pytest.mark.parametrize("name", ["../pages.py", "%2e%2e/pages.py", "..%2fpages.py", "docs.html", "none.js", ""])
async def test_nothing_else_is_served_as_a_file(service: Running, name: str) -> None:
    response = await service.client.get(f"/static/{name}")
    assert response.status_code in (401, 404)
    assert "import" not in response.text


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_route_says_what_it_does_and_how_it_fails(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["tags"]
    if not is_open(path):
        assert operation["security"] == [{"bearer": []}, {"key": []}]
        assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    for status, response in operation["responses"].items():
        if status.startswith(("4", "5")) and not is_open(path):
            assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_a_json_body_has_an_example_to_send(method: str, path: str, operation: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {"example": {}})
    assert "example" in body


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r"#/components/schemas/(\w+)", str(DESCRIBED)))
    assert names <= set(DESCRIBED["components"]["schemas"])


@pytest.mark.parametrize(
    ("method", "path"), [("post", "/v1/query"), ("post", "/v1/retrieve"), ("post", "/v1/documents")]
)
async def test_the_examples_are_taken_as_they_stand(method: str, path: str) -> None:
    example = DESCRIBED["paths"][path][method]["requestBody"]["content"]["application/json"]["example"]
    async with running() as service:
        assert (await service.client.request(method, path, json=example)).is_success
