"""Variables of models, retrieval and answers, in both stores."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.contract.promises.services import FLEET, Service
from tests.gemini_server import Gemini
from tests.hub_server import hub_server
from tests.models import write_bert_like, write_config
from tests.rag_runtime.commands.processes import serving

Starter = Callable[[str], Service]
QUESTION = {"question": "How many cars does the Southern Cross carry?"}
BOATS = "boat,note\n" + "".join(f"Boat {number},sails on Monday with {number} cars\n" for number in range(40))


@pytest.fixture
def answering(service: Starter, gemini: Gemini) -> Iterator[Service]:
    """With the stand-in for Gemini in order, before and after."""
    gemini.failure = None
    started = service("answering")
    started.ingest("boats.csv", BOATS)
    yield started
    gemini.failure = None


@pytest.mark.row("GEMINI_API_KEY")
@pytest.mark.row("GEMINI_BASE_URL")
def test_gemini_answers_where_its_address_and_key_are_set(answering: Service, gemini: Gemini) -> None:
    """The stand-in refuses every other key."""
    answer = answering.post("/v1/query", QUESTION).json()
    assert answer["answer"].startswith("The answer is written here")
    assert answer["degraded"] is False
    assert answering.setting("GEMINI_API_KEY") == "**********"


@pytest.mark.row("GEMINI_MODEL")
def test_the_model_is_the_one_that_is_asked(answering: Service, gemini: Gemini) -> None:
    gemini.paths.clear()
    answering.post("/v1/query", {"question": "Which model is asked about the boats?"})
    assert gemini.paths
    assert all("/models/gemini-of-tests" in path for path in gemini.paths)


@pytest.mark.row("GEMINI_TIMEOUT")
def test_a_slow_model_is_waited_for_so_long_and_no_longer(answering: Service, gemini: Gemini) -> None:
    gemini.failure = "slow"
    answer = answering.post("/v1/query", {"question": "Which boat is slow?"}).json()
    assert (answer["degraded"], answer["degraded_reason"]) == (True, "timeout")


@pytest.mark.row("GENERATION_PROVIDER")
def test_extractive_asks_nobody(service: Starter, gemini: Gemini) -> None:
    tuned, calls = service("tuned"), gemini.calls
    tuned.ingest("fleet.csv", FLEET)
    answer = tuned.post("/v1/query", QUESTION).json()
    assert "Southern Cross" in answer["answer"]
    assert answer["degraded"] is False
    assert gemini.calls == calls


@pytest.mark.row("SUMMARY_MAX_TOP_K")
def test_a_summary_is_given_more_hits(answering: Service, gemini: Gemini) -> None:
    answering.post("/v1/query", {"question": "Summarize the boats.", "top_k": 2})
    assert len(re.findall(r"passage \[\d+\]", gemini.prompts[-1])) == 7


@pytest.mark.row("STYLE_DETAILED_MAX_WORDS")
def test_a_detailed_answer_is_as_long_as_the_variable_says(service: Starter) -> None:
    text = (
        "Ferries carry cars to the island in winter. In winter the harbour of the island is closed to heavy trucks. "
        "Tickets for cars cost less in winter than in summer, and ferries sail half as often to the island."
    )
    lengths = []
    for profile in ("tuned", "plain"):
        service(profile).ingest("detailed.txt", text)
        asked = {"question": "How do ferries carry cars to the island in winter?", "style": "detailed"}
        lengths.append(len(service(profile).post("/v1/query", asked).json()["answer"].split()))
    assert lengths[0] < lengths[1]


@pytest.mark.row("ENABLE_LOCAL_ROUTING")
def test_the_question_s_own_words_choose_the_way_unless_they_may_not(service: Starter) -> None:
    asked = {"question": "Give me a summary of the fleet."}
    routes = [service(profile).post("/v1/query", asked).json()["route"] for profile in ("plain", "tuned")]
    assert routes == ["summary", "lookup"]


@pytest.mark.row("SPARSE_LANGUAGE")
def test_words_are_stemmed_in_the_language(service: Starter) -> None:
    """`Maschinen` is a form of `Maschine` for a German only."""
    found = []
    for profile in ("tuned", "plain"):
        service(profile).ingest("wings.txt", "Die Maschine hebt mit breiten Flügeln ab.")
        hits = service(profile).post("/v1/retrieve", {"query": "Maschinen", "top_k": 50}).json()["hits"]
        found.append(any("sparse" in hit["explain"] for hit in hits if hit["source"] == "wings.txt"))
    assert found == [True, False]


@pytest.mark.row("EMBEDDING_MODEL")
@pytest.mark.row("LATE_INTERACTION_MODEL")
@pytest.mark.row("SPARSE_MODEL")
def test_models_are_those_that_are_named(answering: Service, service: Starter) -> None:
    own, bundled = (started.get("/debug/models").json() for started in (answering, service("plain")))
    assert own["dense"]["name"] == answering.settings["EMBEDDING_MODEL"]
    assert own["colbert"]["name"] == answering.settings["LATE_INTERACTION_MODEL"]
    assert own["sparse"] == {"name": "Qdrant/bm25", "loaded": True, "bytes": 0}
    assert (bundled["dense"]["name"], bundled["colbert"]["name"]) == ("bundled", None)
    assert own["dense"]["bytes"] != bundled["dense"]["bytes"] > 1_000_000


@pytest.mark.row("MODEL_CACHE_DIR")
def test_a_model_is_kept_where_the_variable_says(service: Starter) -> None:
    cache = service("plain").serving.data_dir / "models"
    assert [path.name for path in cache.glob("bundled-*/model.onnx")] == ["model.onnx"]


@pytest.mark.row("CACHE_MAX_ENTRIES")
@pytest.mark.row("CACHE_TTL")
@pytest.mark.row("rag_cache_hits_total")
@pytest.mark.row("rag_cache_misses_total")
def test_a_question_asked_again_is_a_hit_unless_nothing_is_kept(service: Starter) -> None:
    """The whole answer and its retrieval are kept apart: the first time both are missed."""
    assert asked_twice(service("plain"), "Who asks this of the cache?") == [(0, True), (1, False)]
    assert asked_twice(service("tuned"), "Who asks this of no cache?")[1][0] == 0
    assert (service("plain").setting("CACHE_MAX_ENTRIES"), service("plain").setting("CACHE_TTL")) == (1000, 300)


def asked_twice(asked: Service, question: str) -> list[tuple[float, bool]]:
    """Of each time, how many hits more there are, and whether there are more misses."""
    found = []
    for _ in range(2):
        hits, misses = asked.metric("rag_cache_hits_total"), asked.metric("rag_cache_misses_total")
        assert asked.post("/v1/query", {"question": question}).status_code == 200
        missed = asked.metric("rag_cache_misses_total") > misses
        found.append((asked.metric("rag_cache_hits_total") - hits, missed))
    return found


@pytest.mark.row("CACHE_TTL")
def test_a_kept_answer_is_no_hit_when_its_time_is_over(tmp_path: Path, storage: dict[str, str]) -> None:
    name = {"COLLECTION_NAME": f"{storage.get('COLLECTION_NAME', 'papers')}-expiring"}
    with serving(tmp_path, **storage | name, CACHE_TTL="1") as process, httpx.Client(base_url=process.url) as client:
        process.wait_ready()
        answers = []
        for pause in (0.0, 1.5):
            time.sleep(pause)
            client.post("/v1/query", json={"question": "How old is this?"}, timeout=60).raise_for_status()
            answers.append("\nrag_cache_hits_total 0.0\n" in client.get("/metrics").text)
    assert answers == [True, True]


@pytest.mark.row("MODEL_MIRROR_URL")
def test_a_model_of_a_name_is_fetched_from_the_mirror_once(tmp_path: Path, storage: dict[str, str]) -> None:
    """The mirror's model is the stand-in's: BERT's steps, random vectors, and the files that the hub has."""
    repository = write_bert_like(tmp_path / "repository", size=384)
    (repository / "model.onnx").rename(repository / "model_optimized.onnx")
    write_config(repository, "config.json", pad_token_id=0)
    write_config(repository, "tokenizer_config.json", model_max_length=512, pad_token="[PAD]")
    write_config(repository, "special_tokens_map.json", pad_token="[PAD]")
    name = {"COLLECTION_NAME": f"{storage.get('COLLECTION_NAME', 'papers')}-mirrored"}
    settings = storage | name | {"EMBEDDING_MODEL": "BAAI/bge-small-en-v1.5"}
    with hub_server(repository) as hub, serving(tmp_path, **settings, MODEL_MIRROR_URL=hub.url) as service:
        service.wait_ready()
        dense = httpx.get(f"{service.url}/debug/models").json()["dense"]
        assert dense["bytes"] == (repository / "model_optimized.onnx").stat().st_size
        assert any("model_optimized.onnx" in path for path in hub.asked)
        service.end()
    with serving(tmp_path, **settings, HF_HUB_OFFLINE="1") as again:
        again.wait_ready()
