"""A question becomes hits, words and citations; where the model fails, quotes."""

from __future__ import annotations

import pytest

from rag_runtime.adapters.extractive import ExtractiveGenerator
from rag_runtime.answer import Answerer, Asked
from rag_runtime.calling import Caller
from rag_runtime.domain import Answer, AnswerEvent, Cited, DocumentId, EmbeddedChunk, Found, Tokens, Wrote
from rag_runtime.errors import GeneratorUnavailable
from rag_runtime.retrieve import Retriever
from rag_runtime.routing import Router
from rag_runtime.testing import HashEmbedder, MemoryStore, ScriptedGenerator
from tests.rag_runtime.hits import plain

ASKED = Asked("When does boarding close?", top_k=5)
QUOTE = "Boarding closes at noon. [1]"


class Counted:
    """What the answerer reports."""

    def __init__(self) -> None:
        self.degraded: list[str] = []
        self.tokens: list[tuple[int, int]] = []


async def answerer(
    generator: ScriptedGenerator | None, *, counted: Counted | None = None, unrelated_below: float | None = None
) -> Answerer:
    store, embedder, counted = MemoryStore(), HashEmbedder(), counted or Counted()
    chunk = plain("Boarding closes at noon.").chunk
    (vectors,) = await embedder.embed_documents([chunk.text])
    await store.stage([EmbeddedChunk(chunk, vectors)])
    await store.publish(DocumentId(chunk.document_id), chunk.content_hash)
    return Answerer(
        Retriever(embedder, store),
        Router(local_routing=True, summary_top_k=20, detailed_max_words=150),
        Caller(generator) if generator else None,
        ExtractiveGenerator(),
        unrelated_below=unrelated_below,
        on_degraded=counted.degraded.append,
        on_tokens=lambda *tokens: counted.tokens.append(tokens),
    )


async def streamed(asking: Answerer, asked: Asked = ASKED) -> list[AnswerEvent]:
    return [event async for event in asking.stream(asked)]


def failing(reason: str = "quota", *, after: int = 0) -> ScriptedGenerator:
    fault = GeneratorUnavailable("no", reason=reason)
    return ScriptedGenerator("It closes at noon.", fault=fault, fault_after=after)


async def test_the_events_are_hits_citations_words_and_the_whole_answer() -> None:
    found, cited, *words, whole = await streamed(await answerer(ScriptedGenerator("It closes at noon.")))
    assert isinstance(found, Found)
    assert isinstance(cited, Cited)
    assert (cited.number, cited.citation.text) == (1, "Boarding closes at noon.")
    assert isinstance(whole, Answer)
    assert "".join(word.text for word in words if isinstance(word, Wrote)) == whole.text == "It closes at noon."
    assert whole.citations == (cited.citation,)


@pytest.mark.parametrize("generator", [None, ScriptedGenerator("It closes at noon."), failing()])
async def test_streamed_or_not_the_answer_is_the_same(generator: ScriptedGenerator | None) -> None:
    asking = await answerer(generator)
    whole, (*_, last) = await asking.answer(ASKED), await streamed(asking)
    assert isinstance(last, Answer)
    assert (whole.text, whole.citations, whole.degraded_reason) == (last.text, last.citations, last.degraded_reason)


async def test_a_model_that_fails_before_it_speaks_is_replaced_by_quotes() -> None:
    counted = Counted()
    *_, whole = await streamed(await answerer(failing(), counted=counted))
    assert isinstance(whole, Answer)
    assert (whole.text, whole.degraded_reason, counted.degraded) == (QUOTE, "quota", ["quota"])


async def test_what_was_streamed_cannot_be_unsaid() -> None:
    """A model that fails in the middle ends the stream; nothing else is put in the place of what was said."""
    counted = Counted()
    events = (await answerer(failing(after=2), counted=counted)).stream(ASKED)
    heard = [await anext(events) for _ in range(4)]
    assert "".join(event.text for event in heard if isinstance(event, Wrote)) == "It closes"
    with pytest.raises(GeneratorUnavailable):
        await anext(events)
    assert (counted.degraded, counted.tokens) == (["interrupted"], [(10, 2)])


async def test_what_was_not_streamed_was_never_said() -> None:
    answer = await (await answerer(failing(after=2))).answer(ASKED)
    assert (answer.text, answer.degraded_reason, len(answer.citations)) == (QUOTE, "quota", 1)


async def test_tokens_are_in_the_answer_and_counted() -> None:
    counted = Counted()
    answer = await (await answerer(ScriptedGenerator("It closes at noon."), counted=counted)).answer(ASKED)
    assert answer.tokens == Tokens(10, 4)
    assert counted.tokens == [(10, 4)]


async def test_no_model_is_paid_for_a_question_that_the_hits_do_not_bear_on() -> None:
    generator = ScriptedGenerator()
    asking = await answerer(generator, unrelated_below=0.9)
    answer = await asking.answer(Asked("Which glacier melted fastest?", top_k=5))
    assert (answer.text, answer.citations, answer.degraded) == ("Not found in the documents.", (), False)
    assert generator.asked == []


async def test_the_asker_can_want_fewer_words() -> None:
    answer = await (await answerer(ScriptedGenerator("one two three"))).answer(Asked("?", top_k=5, max_words=2))
    assert answer.text == "one two"
