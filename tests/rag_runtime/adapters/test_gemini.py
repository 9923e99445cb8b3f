"""The real client library against a local server: answers, citations, and every failure as one word."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from rag_runtime.adapters.gemini import GeminiGenerator, GeminiOptions
from rag_runtime.errors import GeneratorUnavailable
from tests.gemini_server import KEY, Gemini, gemini_server
from tests.rag_runtime.hits import pages, rows

HITS = [pages("Dogs stay below.", first=4), rows("name: Northern Light; cars: 120", first=9)]


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with gemini_server() as server:
        yield server


@pytest.fixture
async def generator(gemini: Gemini) -> AsyncIterator[GeminiGenerator]:
    made = _generator(gemini)
    yield made
    await made.close()


def _generator(gemini: Gemini, *, key: str = KEY, timeout: float = 1.0) -> GeminiGenerator:
    return GeminiGenerator(GeminiOptions(key, "gemini-test", timeout, gemini.url))


async def test_an_answer_cites_the_passages_it_marks(gemini: Gemini, generator: GeminiGenerator) -> None:
    gemini.text = "It carries 120 cars [2]."
    generated = await generator.generate("How many cars?", HITS, max_words=50)
    assert generated.text == "It carries 120 cars [1]."
    assert [(c.source, c.row, c.text) for c in generated.citations] == [
        ("fleet.csv", 9, "name: Northern Light; cars: 120")
    ]
    assert (generated.tokens_in, generated.tokens_out) == (120, 9)


async def test_the_passages_reach_it_fenced_by_a_delimiter_that_changes(
    gemini: Gemini, generator: GeminiGenerator
) -> None:
    for _ in range(2):
        await generator.generate("How many cars?", HITS, max_words=50)
    fences = {prompt.splitlines()[0] for prompt in gemini.prompts}
    assert len(fences) == 2
    assert all("Dogs stay below." in prompt for prompt in gemini.prompts)


async def test_not_found_is_said_without_citations(gemini: Gemini, generator: GeminiGenerator) -> None:
    gemini.text = "NOT_FOUND"
    generated = await generator.generate("How many cats?", HITS, max_words=50)
    assert (generated.text, generated.citations) == ("Not found in the documents.", ())


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("quota", "quota"),
        ("broken", "unavailable"),
        ("overloaded", "unavailable"),
        ("unauthorized", "unauthorized"),
        ("unknown model", "unknown_model"),
        ("prompt blocked", "refused"),
        ("answer blocked", "refused"),
        ("empty", "empty"),
        ("slow", "timeout"),
        ("no JSON", "malformed"),
        ("other JSON", "empty"),
        ("a tower of brackets", "malformed"),
        ("no end", "malformed"),
    ],
)
async def test_a_failure_has_one_reason(gemini: Gemini, generator: GeminiGenerator, failure: str, reason: str) -> None:
    gemini.failure = failure
    with pytest.raises(GeneratorUnavailable) as failed:
        await generator.generate("How many cars?", HITS, max_words=50)
    assert failed.value.reason == reason
    assert KEY not in str(failed.value)
    assert gemini.calls == 1


async def test_an_answer_can_be_sent_on_whatever_it_holds(gemini: Gemini, generator: GeminiGenerator) -> None:
    gemini.text = "Cars \ud83d: 120 [2]."
    generated = await generator.generate("How many cars?", HITS, max_words=50)
    assert generated.text == "Cars ?: 120 [1]."


async def test_a_wrong_key_is_unauthorized(gemini: Gemini) -> None:
    generator = _generator(gemini, key="wrong")
    with pytest.raises(GeneratorUnavailable) as failed:
        await generator.check()
    await generator.close()
    assert failed.value.reason == "unauthorized"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    generator = GeminiGenerator(GeminiOptions(KEY, "gemini-test", 1.0, "http://127.0.0.1:9"))
    with pytest.raises(GeneratorUnavailable) as failed:
        await generator.generate("How many cars?", HITS, max_words=50)
    await generator.close()
    assert failed.value.reason == "unavailable"


async def test_the_check_asks_for_the_model_and_for_no_answer(gemini: Gemini, generator: GeminiGenerator) -> None:
    await generator.check()
    assert (gemini.calls, gemini.prompts) == (1, [])
