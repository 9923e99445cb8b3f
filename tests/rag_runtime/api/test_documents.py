"""Documents in, through the front door, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rag_runtime.errors import StoreUnavailable
from rag_runtime.ingest import source_id
from tests.docxs import docx, paragraph
from tests.rag_runtime.running import FLEET, Running, running


@pytest.fixture
async def service() -> AsyncIterator[Running]:
    async with running() as started:
        yield started


async def test_a_file_is_acknowledged_with_a_job_that_finishes(service: Running) -> None:
    response = await service.client.post("/v1/documents", files=[("files", ("fleet.csv", FLEET.encode()))])
    assert response.status_code == 202
    job_id = response.json()["job_id"]
    assert response.headers["location"] == f"/v1/jobs/{job_id}"
    job = (await service.client.get(f"/v1/jobs/{job_id}")).json()
    for _ in range(100):
        if job["status"] == "succeeded":
            break
        await asyncio.sleep(0.05)
        job = (await service.client.get(f"/v1/jobs/{job_id}")).json()
    assert [(file["source"], file["status"]) for file in job["files"]] == [("fleet.csv", "stored")]
    assert job["files"][0]["chunks"] == len(service.store.published) > 0


async def test_the_document_and_the_job_are_kept_before_the_answer(service: Running) -> None:
    """Embedding never comes to it: what was acknowledged is in the store all the same."""
    await service.runtime.service.runner.stop()
    service.runtime.service.runner._stopping = False
    response = await service.client.post("/v1/documents", files=[("files", ("fleet.csv", FLEET.encode()))])
    assert response.status_code == 202
    assert service.store.jobs[response.json()["job_id"]].status == "queued"
    assert list(service.store.documents) == [source_id("fleet.csv")]


async def test_json_text_is_stored_under_its_own_id_whatever_its_source_is_called(service: Running) -> None:
    document = {"id": "h-1", "source": "handbook.pdf", "text": "Dogs stay below deck.", "metadata": {"team": "ops"}}
    response = await service.client.post("/v1/documents?wait=true", json={"documents": [document]})
    assert response.json()["files"][0]["status"] == "stored", response.text
    shown = (await service.client.get("/v1/documents/h-1")).json()
    assert (shown["source"], shown["format"], shown["chunks"], shown["metadata"]) == (
        "handbook.pdf",
        "text",
        1,
        {"team": "ops"},
    )


MARKDOWN = b"---\ntopic: dogs\n---\n# Rules\n\nDogs stay *below* deck.\n"
HTML = b"<title>Rules</title><script>var x</script><p>Cats sleep <b>on</b> deck.</p>"
DOCX = docx(paragraph("Rules", '<w:outlineLvl w:val="0"/>') + paragraph("Parrots need a permit."))


@pytest.mark.parametrize(
    ("name", "data", "question", "expected"),
    [
        ("rules.md", MARKDOWN, "Where do dogs stay?", "Dogs stay below deck."),
        ("rules.html", HTML, "Where do cats sleep?", "Cats sleep on deck."),
        ("rules.docx", DOCX, "Who needs a permit?", "Parrots need a permit."),
    ],
)
async def test_a_question_is_answered_from_a_file_s_text_without_its_markup(
    service: Running, name: str, data: bytes, question: str, expected: str
) -> None:
    response = await service.client.post("/v1/documents?wait=true", files=[("files", (name, data))])
    assert [file["status"] for file in response.json()["files"]] == ["stored"], response.text
    answer = await service.ask(question)
    assert expected in answer["answer"]
    assert [citation["source"] for citation in answer["citations"]] == [name]
    assert [embedded.chunk.text for embedded in service.store.published.values()] == [f"Rules\n{expected}"]


async def test_the_same_again_is_unchanged_and_not_embedded_again(service: Running) -> None:
    await service.ingest()
    embedded = len(service.embedder.embedded)
    again = await service.ingest()
    assert again["files"][0]["status"] == "unchanged"
    assert again["files"][0]["chunks"] == len(service.store.published)
    assert len(service.embedder.embedded) == embedded


async def test_a_changed_document_replaces_its_chunks_whole(service: Running) -> None:
    await service.ingest(content=FLEET)
    job = await service.ingest(content="name,cars\nMoonbeam,12\n")
    assert job["files"][0]["status"] == "stored"
    assert [embedded.chunk.text for embedded in service.store.published.values()] == ["name: Moonbeam; cars: 12"]


async def test_a_hundred_times_the_same_at_once_leaves_one_set_of_chunks(service: Running) -> None:
    jobs = await asyncio.gather(*(service.ingest() for _ in range(100)))
    assert {job["status"] for job in jobs} == {"succeeded"}
    assert {job["files"][0]["chunks"] for job in jobs} == {len(service.store.published)}


async def test_one_bad_file_fails_alone(service: Running) -> None:
    files = [("files", ("fleet.csv", FLEET.encode())), ("files", ("broken.pdf", b"%PDF-1.7 no more"))]
    response = await service.client.post("/v1/documents?wait=true", files=files)
    assert response.status_code == 200
    job = response.json()
    assert job["status"] == "partial"
    assert [file["status"] for file in job["files"]] == ["stored", "failed"]
    assert job["files"][1]["error"]["status"] == 422
    assert "broken.pdf" in job["files"][1]["error"]["detail"]


async def test_what_is_not_utf8_is_read_and_said(service: Running) -> None:
    files = [("files", ("cafe.csv", "name\ncafé\n".encode("cp1252")))]
    job = (await service.client.post("/v1/documents?wait=true", files=files)).json()
    assert job["status"] == "succeeded"
    assert job["warnings"][0].startswith("cafe.csv: ")


async def test_the_same_document_twice_in_one_request_is_refused_and_nothing_is_kept(service: Running) -> None:
    files = [("files", ("a.csv", b"x\n1\n")), ("files", ("./a.csv", b"x\n2\n"))]
    response = await service.client.post("/v1/documents", files=files)
    assert response.status_code == 422
    assert "a.csv" in response.json()["detail"]
    assert not service.store.documents


async def test_an_empty_or_unknown_file_refuses_the_request_before_anything_is_kept(service: Running) -> None:
    good = ("files", ("fleet.csv", FLEET.encode()))
    empty = await service.client.post("/v1/documents", files=[good, ("files", ("b.csv", b""))])
    unknown = await service.client.post("/v1/documents", files=[good, ("files", ("b.exe", b"MZ"))])
    assert (empty.status_code, unknown.status_code) == (422, 415)
    assert not service.store.documents


async def test_documents_are_listed_in_pages(service: Running) -> None:
    documents = [{"id": f"d{n}", "text": f"Text {n}"} for n in range(5)]
    await service.client.post("/v1/documents?wait=true", json={"documents": documents})
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await service.client.get("/v1/documents", params={"limit": "2", **after})).json()
        seen += [document["id"] for document in page["documents"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"d{n}" for n in range(5)]


async def test_a_deleted_document_is_gone_with_its_chunks(service: Running) -> None:
    job = await service.ingest()
    path = f"/v1/documents/{job['files'][0]['document_id']}"
    assert (await service.client.delete(path)).json() == {"deleted": 1}
    assert (await service.client.get(path)).status_code == 404
    assert (await service.client.delete(path)).status_code == 404
    assert not service.store.published


async def test_deleting_all_must_be_meant(service: Running) -> None:
    await service.ingest()
    assert (await service.client.delete("/v1/documents")).status_code == 422
    assert (await service.client.delete("/v1/documents?confirm=all")).json() == {"deleted": 1}
    assert not service.store.documents
    assert not service.store.published


async def test_a_store_that_is_down_acknowledges_nothing(service: Running) -> None:
    service.store.fault = StoreUnavailable("the store does not answer")
    response = await service.client.post("/v1/documents", files=[("files", ("fleet.csv", FLEET.encode()))])
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["type"].endswith("/store-unavailable")


async def test_above_the_memory_threshold_only_documents_are_refused() -> None:
    async with running({"memory_threshold_mb": 1}) as service:
        refused = await service.client.post("/v1/documents", files=[("files", ("fleet.csv", FLEET.encode()))])
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert (await service.ask("Anything?"))["citations"] == []


async def test_while_draining_only_documents_are_refused(service: Running) -> None:
    await service.ingest()
    service.runtime.drain()
    refused = await service.client.post("/v1/documents", files=[("files", ("b.csv", FLEET.encode()))])
    assert refused.status_code == 503
    assert (await service.client.get("/ready")).status_code == 503
    assert (await service.client.get("/livez")).status_code == 200
    assert (await service.ask("How many cars does the Northern Light carry?"))["citations"]


async def test_a_text_sent_again_under_another_source_is_cited_by_it() -> None:
    async with running() as service:
        for source in ("draft.txt", "final.txt"):
            document = {"id": "h-1", "source": source, "text": "Dogs stay below deck."}
            await service.client.post("/v1/documents?wait=true", json={"documents": [document]})
            answer = await service.ask("Where do dogs stay?")
            assert [citation["source"] for citation in answer["citations"]] == [source]


async def test_a_disk_too_full_for_an_upload_is_503(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    large = b"a,b\n" + b"1,2\n" * 500_000
    response = await service.client.post("/v1/documents", files=[("files", ("large.csv", large))])
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "No such file or directory" in response.json()["detail"]


async def test_a_file_that_could_not_be_read_must_be_sent_again(service: Running) -> None:
    files = [("files", ("fleet.csv", FLEET.encode())), ("files", ("broken.pdf", b"%PDF-1.7 no more"))]
    job = (await service.client.post("/v1/documents?wait=true", files=files)).json()
    assert (job["progress"], [file["retryable"] for file in job["files"]]) == (1.0, [False, False])
    refused = await service.client.post(f"/v1/jobs/{job['id']}/retry")
    assert refused.status_code == 422
    assert "broken.pdf" in refused.json()["detail"]
    assert (await service.client.post("/v1/jobs/none/retry")).status_code == 404


async def test_a_failed_file_is_retried_alone(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a process ended five times over it: nothing is sent again, and the job is the same one."""

    async def ill(_texts: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(service.embedder, "embed_documents", ill)
        job = await service.ingest()
    assert [(file["status"], file["retryable"]) for file in job["files"]] == [("failed", True)]
    await asyncio.sleep(0.05)
    retried = await service.client.post(f"/v1/jobs/{job['id']}/retry")
    assert (retried.status_code, retried.json()) == (
        202,
        {"job_id": job["id"], "queued": ["fleet.csv"], "send_again": []},
    )
    finished = await service.runtime.service.runner.wait(job["id"], seconds=5)
    assert (finished.status, len(service.store.published)) == ("succeeded", finished.files[0].chunks)
