"""Variables of chunking and ingestion, and what turns them into chunks, in both stores."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contract.promises.services import Service
from tests.contract.promises.test_serving import until

Starter = Callable[[str], Service]

ROWS = "boat,note\n" + "".join(f"Boat {number},sails on Monday\n" for number in range(24))
LONG_ROW = "boat,note\nLong," + " ".join(f"word{number}" for number in range(60)) + "\n"
LINES = "\n\n".join(f"Boat {number} sails on Monday and is back by noon." for number in range(24))
LONG_LINE = " ".join(f"word{number}" for number in range(60))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("rows.csv", ROWS, marks=pytest.mark.row("CSV_CHUNK_TOKENS")),
        pytest.param("long.csv", LONG_ROW, marks=pytest.mark.row("CSV_CHUNK_MAX_TOKENS")),
        pytest.param("lines.txt", LINES, marks=pytest.mark.row("PDF_CHUNK_TOKENS")),
        pytest.param("long.txt", LONG_LINE, marks=pytest.mark.row("PDF_CHUNK_MAX_TOKENS")),
    ],
)
def test_smaller_chunks_are_more(service: Callable[[str], Service], name: str, content: str) -> None:
    """32 and 40 tokens instead of 150 and 250. What is long is one row or line, which only the maximum cuts."""
    few, many = (service(profile).ingest(name, content)["chunks"] for profile in ("plain", "tuned"))
    assert many > few


@pytest.mark.row("INGEST_BATCH_SIZE")
@pytest.mark.row("EMBEDDING_DEBUG")
def test_chunks_are_embedded_in_batches_and_each_call_can_be_logged(service: Starter) -> None:
    tuned = service("tuned")
    before = len(embeddings(tuned))
    chunks = tuned.ingest("batches.csv", ROWS.replace("Boat", "Ship"))["chunks"]
    assert len(embeddings(tuned)) - before == (chunks + 1) // 2
    assert embeddings(service("plain")) == []


def embeddings(service: Service) -> list[dict[str, object]]:
    return [line for line in service.logged("embedder_call") if line["stage"] == "embed_documents"]


@pytest.mark.row("QDRANT_DEBUG")
def test_calls_to_the_store_can_be_logged(service: Starter) -> None:
    tuned, plain = service("tuned"), service("plain")
    tuned.post("/v1/retrieve", {"query": "boat"})
    assert until(lambda: "search" in {line["stage"] for line in tuned.logged("store_call")})
    assert plain.logged("store_call") == []


@pytest.mark.row("MAX_UPLOAD_MB")
def test_a_larger_body_is_refused(service: Starter) -> None:
    response = service("guarded").client.post("/v1/documents", files=[("files", ("a.txt", b"x" * 1_200_000))])
    assert (response.status_code, "1048576 bytes" in response.json()["detail"]) == (413, True)


@pytest.mark.row("MEMORY_THRESHOLD_MB")
def test_above_the_threshold_documents_wait_and_questions_go_on(service: Starter) -> None:
    guarded = service("guarded")
    refused = guarded.client.post("/v1/documents", files=[("files", ("a.txt", b"some text"))])
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert "MEMORY_THRESHOLD_MB=1" in refused.json()["detail"]
    assert guarded.post("/v1/query", {"question": "What waits?"}).status_code == 200
    assert guarded.get("/ready").status_code == 200
    assert guarded.get("/debug/memory").json()["over_threshold"] is True
