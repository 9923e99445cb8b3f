"""Streams of a served process, with the real client of Gemini behind it and a real connection before it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gemini_server import KEY, Gemini, gemini_server
from tests.rag_runtime.commands.processes import Serving, serving

TEXT = "The Southern Cross carries 80 cars [1]. More"


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    """One that says a claim, and then nothing more."""
    with gemini_server() as server:
        server.text, server.breaks = TEXT, "stalls"
        yield server


@pytest.fixture
def runtime(gemini: Gemini, tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, GEMINI_API_KEY=KEY, GEMINI_BASE_URL=gemini.url, SHUTDOWN_GRACE="2") as process:
        process.wait_ready()
        fleet = {"files": ("fleet.csv", "name,cars\nSouthern Cross,80\n")}
        httpx.post(f"{process.url}/v1/documents?wait=true", files=fleet).raise_for_status()
        yield process


def ask(runtime: Serving, client: httpx.Client) -> Iterator[str]:
    """The stream's lines as they arrive."""
    body = {"question": "How many cars does the Southern Cross carry?", "stream": True}
    with client.stream("POST", f"{runtime.url}/v1/query", json=body, timeout=30) as response:
        yield from response.iter_lines()


def test_words_arrive_while_the_model_still_writes_and_leaving_ends_its_call(runtime: Serving, gemini: Gemini) -> None:
    with httpx.Client() as client:
        lines = ask(runtime, client)
        assert next(line for line in lines if "carries 80 cars [1]" in line)
        assert not gemini.gone.is_set()
    assert gemini.gone.wait(10)
    assert runtime.end() == 0


def test_who_does_not_wait_for_an_answer_ends_the_model_s_call_too(runtime: Serving, gemini: Gemini) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{runtime.url}/v1/query", json={"question": "How many cars?"}, timeout=1)
    assert gemini.gone.wait(10)
    assert runtime.end() == 0
    assert any('"status": 499' in line for line in runtime.lines)


def test_a_stream_that_cannot_end_in_time_says_so(runtime: Serving) -> None:
    with httpx.Client() as client:
        lines = ask(runtime, client)
        assert next(line for line in lines if "carries 80 cars [1]" in line)
        runtime.process.send_signal(signal.SIGTERM)
        *_, event, data, _ = lines
    assert event == "event: error"
    assert "the service is stopping" in data
    assert runtime.process.wait(30) == 0
    assert not any("Traceback" in line for line in runtime.lines)
