"""The test server's own manners, which the adapter's tests lean on."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.qdrant_server.running import started

DENSE = {"vectors": {"dense": {"size": 4, "distance": "Cosine"}}, "metadata": {"made": "here"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        started(tmp_path_factory.mktemp("q"), api_key="k") as running,
        httpx.Client(base_url=running.url, headers={"api-key": "k"}) as client,
    ):
        client.put("/collections/c", json=DENSE).raise_for_status()
        yield client


def put(client: httpx.Client, *points: dict[str, object]) -> None:
    sent = [{"vector": {}} | point for point in points]
    client.put("/collections/c/points", params={"wait": "true"}, json={"points": sent}).raise_for_status()


def count(client: httpx.Client, must: list[object]) -> int:
    answer = client.post("/collections/c/points/count", json={"filter": {"must": must}}).raise_for_status()
    return int(answer.json()["result"]["count"])


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/livez"])
def test_probes_need_no_key(client: httpx.Client, path: str) -> None:
    assert httpx.get(f"{client.base_url}{path}").status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"api-key": "\u00e4"}]
)
def test_all_else_needs_the_key(client: httpx.Client, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert httpx.get(f"{client.base_url}/collections", headers=raw).status_code == 401


def test_a_key_may_come_as_a_bearer_token(client: httpx.Client) -> None:
    assert httpx.get(f"{client.base_url}/collections", headers={"authorization": "Bearer k"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/collections/nobody", None, 404),
        ("PUT", "/collections/c", DENSE, 409),
        ("PUT", "/collections/other", {"vectors": {}, "unheard_of": 1}, 400),
        ("PUT", "/collections/c/points", {"points": [{"id": 1, "vector": {"dense": [1.0]}}]}, 400),
        ("POST", "/collections/c/points/query", {"query": {"recommend": {"positive": [1]}}}, 400),
        ("POST", "/collections/c/points/count", {"filter": {"must": [{"key": "a", "match": {"text": "b"}}]}}, 400),
        (
            "POST",
            "/collections/aliases",
            {"actions": [{"create_alias": {"collection_name": "x", "alias_name": "y"}}]},
            404,
        ),
    ],
)
def test_what_it_cannot_do_is_refused_as_qdrant_does(
    client: httpx.Client, method: str, path: str, body: object, status: int
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["status"]["error"]


def test_booleans_are_matched_changed_and_never_shadowed_in_answers(client: httpx.Client) -> None:
    put(client, {"id": 1, "payload": {"live": False, "deep": {"live": True}}}, {"id": 2, "payload": {"live": True}})
    assert count(client, [{"key": "live", "match": {"value": True}}]) == 1
    assert count(client, [{"key": "deep.live", "match": {"value": True}}]) == 1
    client.post("/collections/c/points/payload?wait=true", json={"payload": {"live": True}, "points": [1]})
    assert count(client, [{"key": "live", "match": {"value": True}}]) == 2
    (point,) = client.post("/collections/c/points", json={"ids": [1], "with_payload": True}).json()["result"]
    assert point["payload"] == {"live": True, "deep": {"live": True}}


def test_a_write_is_completed_only_when_it_was_waited_for(client: httpx.Client) -> None:
    for wait, status in (("true", "completed"), ("false", "acknowledged")):
        answer = client.put(f"/collections/c/points?wait={wait}", json={"points": [{"id": 9, "vector": {}}]})
        assert answer.json()["result"]["status"] == status


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    alias = {"actions": [{"create_alias": {"collection_name": "c", "alias_name": "a"}}]}
    with started(tmp_path) as running, httpx.Client(base_url=running.url) as client:
        client.put("/collections/c", json=DENSE).raise_for_status()
        client.put("/collections/c/index", json={"field_name": "live", "field_schema": "bool"}).raise_for_status()
        client.post("/collections/aliases", json=alias).raise_for_status()
        put(client, {"id": 1, "payload": {"live": True}})
    with started(tmp_path) as running, httpx.Client(base_url=running.url) as client:
        info = client.get("/collections/a").raise_for_status().json()["result"]
        assert info["points_count"] == 1
        assert info["config"]["metadata"] == {"made": "here"}
        assert info["payload_schema"]["live"]["data_type"] == "bool"
        assert count(client, [{"key": "live", "match": {"value": True}}]) == 1
        assert client.delete("/collections/c").json()["result"] is True
        assert client.get("/aliases").json()["result"]["aliases"] == []
