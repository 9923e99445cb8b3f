"""Traces, as a collector receives them from a served process with either store behind it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.contract.promises.services import FLEET
from tests.otlp_server import otlp_server
from tests.rag_runtime.commands.processes import serving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.row("OTEL_EXPORTER_OTLP_ENDPOINT")
def test_requests_and_their_stages_are_traced_and_no_text_is(tmp_path: Path, storage: dict[str, str]) -> None:
    name = {"COLLECTION_NAME": f"{storage.get('COLLECTION_NAME', 'papers')}-traced"}
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "traced-1"}
    with otlp_server() as collector:
        with serving(tmp_path, **storage | name, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
            service.wait_ready()
            files = [("files", ("fleet.csv", FLEET))]
            httpx.post(f"{service.url}/v1/documents?wait=true", files=files, timeout=60).raise_for_status()
            question = {"question": "Who masters the Southern Cross?"}
            httpx.post(f"{service.url}/v1/query", json=question, headers=headers, timeout=60).raise_for_status()
            assert service.end() == 0
        (request,) = collector.named("POST /v1/query")
        stages = {span.name for span in collector.spans if span.parent_span_id == request.span_id}
        names = {span.name for span in collector.spans}
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert {"embed", "search"} <= stages
    assert {"embed_documents", "stage", "publish"} <= names
    assert {(each.key, each.value.int_value) for each in request.attributes} >= {("http.response.status_code", 200)}
    assert not any(word in collector.received for word in (b"Southern", b"fleet.csv", b"Bo Ek"))
