"""Whatever a file holds: a result with a reason, nothing run or fetched, memory as it was, and the service goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.rag_runtime.bad_files import EVERY
from tests.rag_runtime.memory import resident_mb
from tests.rag_runtime.running import Running, running

# What a request with the largest of the files itself may leave in the allocator.
SLACK_MB = 300
# What one of the files would make if anything in it were run.
EVIL = Path("/tmp/evil")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[Running]:
    async with running() as started:
        await started.ingest()
        yield started


def ran() -> bool:
    return EVIL.exists()


@pytest.fixture(scope="module")
def before() -> int:
    return resident_mb()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", list(EVERY))
async def test_a_bad_file_gets_its_due_and_costs_nobody_else(service: Running, before: int, case: str) -> None:
    bad = EVERY[case]
    sent = await service.client.post("/v1/documents?wait=true", files=[("files", (bad.name, bad.content()))])
    if isinstance(bad.outcome, int):
        assert (sent.status_code, sent.json()["status"]) == (bad.outcome, bad.outcome), sent.text
        said = sent.json()["detail"]
    else:
        (file,) = sent.json()["files"]
        assert (sent.status_code, file["status"]) == (200, bad.outcome), sent.text
        said = file["error"]["detail"] if file["error"] else ""
        assert not file["error"] or file["error"]["status"] in (413, 422)
        # Another file may hold the same text.
        await service.client.delete(f"/v1/documents/{file['document_id']}")
    assert bad.words in said
    assert len(said) < 1000
    assert "Traceback" not in sent.text
    assert not ran()
    assert resident_mb() < before + SLACK_MB
    assert (await service.ask("How many cars does the Northern Light carry?"))["citations"]
