"""Answers that are quotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag_runtime.adapters.extractive import ExtractiveGenerator
from rag_runtime.domain import Hit, StageRank
from tests.rag_runtime.hits import pages, plain, rows
from tests.rag_runtime.pieces import Said, said


async def quoted(
    question: str, hits: Sequence[Hit], *, max_words: int = 60, unrelated_below: float | None = None
) -> Said:
    generator = ExtractiveGenerator(unrelated_below=unrelated_below)
    return await said(generator.generate(question, hits, max_words=max_words))


async def test_the_best_row_is_the_answer() -> None:
    hits = [
        rows("title: 12 Years a Slave; director: Steve McQueen", "title: 127 Hours; director: Danny Boyle", first=2)
    ]
    generated = await quoted("Who directed 12 Years a Slave?", hits)
    assert generated.text == "title: 12 Years a Slave; director: Steve McQueen [1]"
    assert [citation.row for citation in generated.citations] == [2]


async def test_a_sentence_over_several_lines_is_one_line_of_the_answer_and_cited_as_it_stands() -> None:
    hits = [pages("Ein Raum heißt hausdorffsch,\nwenn Punkte Umgebungen haben. Anderes folgt hier.", first=12)]
    generated = await quoted("Wann heißt ein Raum hausdorffsch?", hits)
    assert generated.text == "Ein Raum heißt hausdorffsch, wenn Punkte Umgebungen haben. [1]"
    assert generated.citations[0].text == "Ein Raum heißt hausdorffsch,\nwenn Punkte Umgebungen haben."
    assert generated.citations[0].page == 12


async def test_hits_that_share_only_grammar_with_the_question_answer_nothing() -> None:
    generated = await quoted("What is the capital of Mars?", [plain("This is the end of the list of ports.")])
    assert (generated.text, generated.citations) == ("Not found in the documents.", ())


async def test_a_longer_answer_has_more_quotes_and_none_twice() -> None:
    hits = [plain("Boarding closes early. Boarding closes at noon."), plain("Boarding closes early.")]
    generated = await quoted("When does boarding close?", hits, max_words=150)
    assert len(generated.citations) == 2
    assert generated.text.count("early") == 1


async def test_hits_near_in_meaning_are_quoted_though_they_speak_in_other_words() -> None:
    (hit,) = [plain("Cars must be aboard by noon on the day of departure.")]
    near, far = (replace(hit, explain={"dense": StageRank(1, score)}) for score in (0.5, 0.2))
    question = "When does boarding of vehicles close for a departure?"
    assert (await quoted(question, [far], unrelated_below=0.35)).citations == ()
    assert (await quoted(question, [near], unrelated_below=0.35)).citations[0].text == hit.chunk.text
