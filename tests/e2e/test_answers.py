"""From a one-page manifest to cited answers, through the Service, with the generated key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.installed import Namespace, kill_container, pipeline, wait_for

pytestmark = pytest.mark.e2e
NAME = "library"


@pytest.fixture(scope="module")
def service(release: Namespace) -> Iterator[httpx.Client]:
    release.apply(pipeline(NAME))
    release.wait_ready(NAME)
    with release.http(NAME) as client:
        yield client


@pytest.fixture(scope="module")
def stored(service: httpx.Client, shared_data: Path) -> dict[str, dict[str, Any]]:
    """The results of ingesting a 117-page German PDF and a CSV that is not UTF-8, by source."""
    paths = [shared_data / "pdf/GeoTopo-komprimiert.pdf", shared_data / "csv/biopics.csv"]
    files = [("files", (path.name, path.read_bytes())) for path in paths]
    answer = service.post("/v1/documents", params={"wait": "true"}, files=files)
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert job["status"] == "succeeded", job
    return {file["source"]: file for file in job["files"]}


def ask(service: httpx.Client, question: str) -> dict[str, Any]:
    answer = service.post("/v1/query", json={"question": question})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_question_about_the_pdf_is_answered_from_the_right_page(
    service: httpx.Client, stored: dict[str, dict[str, Any]]
) -> None:
    answer = ask(service, "Wann heißt ein topologischer Raum hausdorffsch?")
    places = [(citation["source"], citation["page"]) for citation in answer["citations"]]
    assert ("GeoTopo-komprimiert.pdf", 12) in places, answer
    assert "für je zwei Punkte" in answer["answer"]


def test_a_question_about_the_csv_is_answered_from_the_right_row(
    service: httpx.Client, stored: dict[str, dict[str, Any]]
) -> None:
    answer = ask(service, "Who directed 12 Years a Slave?")
    places = [(citation["source"], citation["row"]) for citation in answer["citations"]]
    assert ("biopics.csv", 2) in places, answer
    assert "Steve McQueen" in answer["answer"]


def test_the_store_holds_what_was_acknowledged(
    service: httpx.Client, stored: dict[str, dict[str, Any]], release: Namespace
) -> None:
    """Asked of the store itself: every acknowledged chunk is a point, and no other is."""
    acknowledged = sum(file["chunks"] for file in stored.values())
    assert acknowledged > 500
    assert points_in_store(release) == acknowledged


def test_sending_the_same_files_again_changes_nothing(
    service: httpx.Client, stored: dict[str, dict[str, Any]], release: Namespace, shared_data: Path
) -> None:
    before = points_in_store(release)
    data = (shared_data / "csv/biopics.csv").read_bytes()
    job = service.post("/v1/documents", params={"wait": "true"}, files=[("files", ("biopics.csv", data))]).json()
    assert [file["status"] for file in job["files"]] == ["unchanged"]
    assert points_in_store(release) == before


def test_no_key_and_a_wrong_key_get_nothing(service: httpx.Client, release: Namespace) -> None:
    with release.http(NAME, key="wrong") as stranger:
        assert stranger.post("/v1/query", json={"question": "anything"}).status_code == 401
        assert stranger.get("/livez").status_code == 200


def test_the_client_key_cannot_delete_everything(service: httpx.Client, stored: dict[str, dict[str, Any]]) -> None:
    assert service.delete("/v1/documents", params={"confirm": "all"}).status_code == 403


def test_the_store_killed_loses_nothing(
    service: httpx.Client, stored: dict[str, dict[str, Any]], release: Namespace
) -> None:
    before = points_in_store(release)
    pod = release.get("pod", f"{NAME}-qdrant-0")
    assert pod is not None
    kill_container(release, pod)
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]

    def restarted() -> bool:
        now = release.get("pod", f"{NAME}-qdrant-0") or {}
        statuses = now.get("status", {}).get("containerStatuses", [])
        replaced = now.get("metadata", {}).get("uid") != pod["metadata"]["uid"]
        return any(s["ready"] and (replaced or s["restartCount"] > restarts) for s in statuses)

    wait_for("the store's container to be started again", restarted)
    release.wait_ready(NAME)
    assert points_in_store(release) == before


def points_in_store(namespace: Namespace) -> int:
    """Published points, counted by the store over its own API."""
    pod = next(iter(namespace.list("pods", f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component=runtime")))
    script = (
        "import os; from qdrant_client import QdrantClient, models as m;"
        "c = QdrantClient(url=os.environ['QDRANT_URL'], api_key=os.environ['QDRANT_API'], check_compatibility=False);"
        "live = m.Filter(must=[m.FieldCondition(key='live', match=m.MatchValue(value=True))]);"
        "print(c.count(os.environ['COLLECTION_NAME'], count_filter=live, exact=True).count)"
    )
    command = ["exec", pod["metadata"]["name"], "--", "python", "-W", "ignore", "-c", script]
    return int(namespace.kubectl(*command).strip().splitlines()[-1])
