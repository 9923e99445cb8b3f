"""The client against a server that misbehaves in every way one can, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from rag_operator import kube, names
from rag_operator.errors import ApiError, Conflict, Forbidden, Rejected, Unreachable
from rag_operator.kube import Client
from rag_operator.names import Ref

REF = Ref(names.CONFIG_MAP, "team", "settings")
BODY = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "team"}}


@dataclass
class Answer:
    status: int = 200
    body: dict[str, Any] = field(default_factory=lambda: dict(BODY))
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """Gives its answers in turn, the last one for ever, and remembers what it was asked."""

    answers: list[Answer]
    asked: list[web.Request] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.tokens.append(request.headers.get("Authorization", ""))
        await request.read()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def served(*answers: Answer, tokens: list[str] | None = None) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    left = iter(tokens or ["only"] * 100)

    def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{port}", token=next(left))

    try:
        async with kube.connect(login, timeout_seconds=2) as client:
            yield server, client
    finally:
        await runner.cleanup()


def refusal(status: int, message: str = "no", **headers: str) -> Answer:
    return Answer(status, {"kind": "Status", "message": message}, headers)


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_a_busy_server_is_asked_again(status: int) -> None:
    async with served(refusal(status), refusal(status), Answer()) as (server, client):
        assert await client.get(REF) == BODY
        assert len(server.asked) == 3


async def test_a_server_that_stays_away_is_unreachable_after_a_few_tries() -> None:
    async with served(refusal(503, "etcd is slow")) as (server, client):
        with pytest.raises(Unreachable, match="etcd is slow"):
            await client.get(REF)
        assert len(server.asked) == kube.ATTEMPTS


async def test_it_waits_as_long_as_it_is_asked_to() -> None:
    async with served(refusal(429, **{"Retry-After": "1"}), Answer()) as (_, client):
        started_at = monotonic()
        await client.get(REF)
        assert monotonic() - started_at >= 1


async def test_a_creation_is_never_repeated() -> None:
    """The first try may have worked."""
    async with served(refusal(500), Answer()) as (server, client):
        with pytest.raises(Unreachable):
            await client.create(names.CONFIG_MAP, BODY)
        assert len(server.asked) == 1


async def test_nobody_listening_is_unreachable() -> None:
    def login() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server="http://127.0.0.1:9", token="t")

    async with kube.connect(login, timeout_seconds=1) as client:
        with pytest.raises(Unreachable, match="GET /api/v1/namespaces/team/configmaps/settings"):
            await client.get(REF)


@pytest.mark.parametrize(
    ("status", "error"), [(401, Forbidden), (403, Forbidden), (409, Conflict), (400, Rejected), (422, Rejected)]
)
async def test_a_refusal_is_an_error_of_who_can_act_and_says_why(status: int, error: type[ApiError]) -> None:
    async with served(refusal(status, "because")) as (server, client):
        with pytest.raises(error, match="because") as raised:
            await client.apply(BODY)
        assert raised.value.status == status
        assert len(server.asked) == 1


async def test_what_is_not_there_is_none() -> None:
    async with served(refusal(404)) as (_, client):
        assert await client.get(REF) is None
        assert await client.patch_status(REF, "1", {}) is None
        await client.delete(REF, "uid")


async def test_a_token_that_is_refused_is_read_anew() -> None:
    """At the start one is read for the address, and then one for each refusal."""
    async with served(refusal(401), Answer(), tokens=["first", "old", "new"]) as (server, client):
        with pytest.raises(Forbidden):
            await client.get(REF)
        await client.get(REF)
        assert server.tokens == ["Bearer old", "Bearer new"]


async def test_a_long_list_is_read_page_by_page() -> None:
    def page(name: str, token: str) -> Answer:
        return Answer(200, {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}}]})

    async with served(page("a", "next"), page("b", "")) as (server, client):
        found = [body async for body in client.list(names.CONFIG_MAP, "team", selector="x=y")]
    assert [(body["kind"], body["metadata"]["name"]) for body in found] == [("ConfigMap", "a"), ("ConfigMap", "b")]
    assert server.asked[1].query["continue"] == "next"
    assert server.asked[1].query["labelSelector"] == "x=y"


async def test_apply_is_server_side_forced_and_in_our_name() -> None:
    async with served(Answer()) as (server, client):
        await client.apply(BODY)
        (asked,) = server.asked
    assert (asked.method, asked.content_type) == ("PATCH", "application/apply-patch+yaml")
    assert dict(asked.query) == {"fieldManager": "rag-operator", "force": "true"}


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        (REF, "/api/v1/namespaces/team/configmaps/settings"),
        (Ref(names.DEPLOYMENT, "team", ""), "/apis/apps/v1/namespaces/team/deployments"),
        (Ref(names.PIPELINE, "", ""), "/apis/ragops.dev/v1alpha1/ragpipelines"),
    ],
)
def test_paths(ref: Ref, path: str) -> None:
    assert kube.path_of(ref) == path


async def test_a_kind_is_asked_for_once_a_minute() -> None:
    resources = Answer(200, {"resources": [{"name": "servicemonitors"}, {"name": "servicemonitors/status"}]})
    async with served(resources) as (server, client):
        assert await client.serves(names.SERVICE_MONITOR)
        assert not await client.serves(names.PROMETHEUS_RULE)
        assert [request.path for request in server.asked] == ["/apis/monitoring.coreos.com/v1"]


async def test_a_group_that_is_not_there_has_no_kinds() -> None:
    async with served(refusal(404)) as (_, client):
        assert not await client.serves(names.SERVICE_MONITOR)


def test_what_is_not_watched_needs_no_right_to_watch() -> None:
    for kind in names.OPTIONAL:
        assert "watch" not in kube.PERMISSIONS[kind.group, kind.plural]


def test_secrets_are_never_listed_or_watched() -> None:
    assert not kube.PERMISSIONS["", "secrets"] & {"list", "watch", "*"}
    assert not [verbs for verbs in kube.PERMISSIONS.values() if "*" in verbs]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_applied_is_the_same_read_as_json_or_as_yaml(text: str) -> None:
    """The server reads it as YAML, which has other rules for strings."""
    wire = kube.to_wire({"text": text})
    assert json.loads(wire) == yaml.safe_load(wire) == {"text": text}


@pytest.mark.parametrize("text", ["🙂", "\x85", "\u2028", "\x7f", "\ufeff", '\\ud83d"\\', "a\tb\r\nc"])
def test_characters_that_yaml_takes_for_something_else_arrive(text: str) -> None:
    assert yaml.safe_load(kube.to_wire({"text": text})) == {"text": text}
