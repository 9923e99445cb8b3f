"""Whatever the API's own description allows, and much that it forbids, sent to a real service by schemathesis.

FUZZ_EXAMPLES says how many requests are made up for each route (25). With FUZZ_COVERAGE=1 thousands more walk every
boundary of the description, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, Response
from schemathesis.checks import CHECKS

from rag_runtime.app import create_app
from rag_runtime.settings import Settings
from tests.rag_runtime.commands.processes import Serving, serving

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
KEY = "fuzz-key"
HANDBOOK = Path(__file__).parents[2] / "examples" / "documents" / "crew-handbook.pdf"
PROMISED = ("status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With keys, so that what is refused for want of one is told from what is refused for what it is."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with serving(folder, API_KEY_REQUIRED="1", API_KEYS=KEY) as started:
        started.wait_ready()
        files = {"files": (HANDBOOK.name, HANDBOOK.read_bytes())}
        stored = httpx.post(f"{started.url}/v1/documents?wait=true", files=files, headers=bearer(), timeout=60)
        assert stored.json()["status"] == "succeeded"
        yield started
        answers(started)
        assert not [line for line in started.lines if "Traceback" in line or "unexpected_error" in line]


def answers(service: Serving) -> None:
    """It is there, and takes and finds a document as before."""
    text = {"documents": [{"id": "after", "text": "The lighthouse keeper is called Ada."}]}
    with httpx.Client(base_url=service.url, headers=bearer(), timeout=60) as client:
        assert client.post("/v1/documents?wait=true", json=text).json()["status"] == "succeeded"
        found = client.post("/v1/query", json={"question": "What is the lighthouse keeper called?"}).json()
    assert "Ada" in found["answer"]


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
schema.config.phases.coverage.enabled = os.environ.get("FUZZ_COVERAGE") == "1"


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_a_route_answers_as_it_says_and_never_with_a_fault_of_its_own(case: Case, service: Serving) -> None:
    response = case.call(base_url=service.url, headers=bearer(), timeout=60)
    assert response.status_code < 500 or response.status_code in (503, 504), response.text
    assert "Traceback" not in response.text
    if response.status_code >= 400:
        check_problem(response)
    case.validate_response(response, checks=[CHECKS.get_one(name) for name in PROMISED])


def check_problem(response: Response) -> None:
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"]
    assert problem["detail"]
