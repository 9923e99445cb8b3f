"""The response cache, seen from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag_runtime.api import health
from rag_runtime.app import Ports
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.testing import ScriptedGenerator
from tests.rag_runtime.running import FLEET, Running, running

QUESTION = "Who is the master of Northern Light?"


def without_times(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("timings_ms", "request_id", "tokens")}


def is_cached(body: dict[str, Any]) -> bool:
    return "cache" in body["timings_ms"]


async def retrieve(service: Running, **request: object) -> dict[str, Any]:
    response = await service.client.post("/v1/retrieve", json={"query": QUESTION, **request})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def counted(service: Running) -> tuple[float, float]:
    lines = (await service.client.get("/metrics")).text.splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("rag_cache_"))
    return float(found["rag_cache_hits_total"]), float(found["rag_cache_misses_total"])


async def test_a_question_asked_again_is_answered_the_same_and_counted() -> None:
    async with running() as service:
        await service.ingest()
        first = await service.ask(QUESTION)
        again = await service.ask(f"  {QUESTION.replace(' ', '  ')}\n")
        assert (is_cached(first), is_cached(again)) == (False, True)
        assert without_times(again) == without_times(first)
        assert await counted(service) == (1, 1)


async def test_hits_are_kept_by_all_that_decides_them() -> None:
    async with running() as service:
        await service.ingest()
        first = await retrieve(service)
        assert without_times(await retrieve(service)) == without_times(first)
        others = (
            {"top_k": 1},
            {"explain": False},
            {"filter": {"field": "metadata.a", "equals": True}},
            {"filter": {"field": "metadata.a", "equals": 1}},
        )
        assert not any([is_cached(await retrieve(service, **other)) for other in others])


@pytest.mark.parametrize("change", ["store", "delete"])
async def test_a_change_is_seen_at_once(change: str) -> None:
    async with running() as service:
        job = await service.ingest()
        await service.ask(QUESTION)
        if change == "store":
            await service.ingest(content=FLEET.replace("Ada Lind", "Ida Berg"))
            assert "Ida Berg" in (await service.ask(QUESTION))["answer"]
        else:
            await service.client.delete(f"/v1/documents/{job['files'][0]['document_id']}")
            assert (await service.ask(QUESTION))["citations"] == []


async def test_a_degraded_answer_is_not_kept() -> None:
    generator = ScriptedGenerator(fault=GeneratorUnavailable("no", reason="quota"))
    async with running(ports=Ports(generator=generator)) as service:
        await service.ingest()
        assert (await service.ask(QUESTION))["degraded"]
        generator.fault = None
        assert not (await service.ask(QUESTION))["degraded"]
        assert is_cached(await service.ask(QUESTION))


async def test_switched_off_nothing_is_kept() -> None:
    async with running({"cache_max_entries": 0}) as service:
        await service.ingest()
        assert not any([is_cached(await service.ask(QUESTION)) for _ in range(2)])
        assert await counted(service) == (0, 0)


async def test_it_is_given_up_when_memory_is_short(tmp_path: Path) -> None:
    async with running() as service:
        await service.ingest()
        await service.ask(QUESTION)
        probe = health.probes(service.runtime, data_dir=tmp_path, memory_threshold_mb=1)["memory"]
        with pytest.raises(health.Failing):
            await probe()
        assert not is_cached(await service.ask(QUESTION))
