"""Answers that are quotations."""

from __future__ import annotations

from rag_runtime.adapters.extractive import ExtractiveGenerator
from tests.rag_runtime.hits import pages, plain, rows


async def test_the_best_row_is_the_answer() -> None:
    hits = [
        rows("title: 12 Years a Slave; director: Steve McQueen", "title: 127 Hours; director: Danny Boyle", first=2)
    ]
    generated = await ExtractiveGenerator().generate("Who directed 12 Years a Slave?", hits, max_words=60)
    assert generated.text == "title: 12 Years a Slave; director: Steve McQueen [1]"
    assert [citation.row for citation in generated.citations] == [2]


async def test_a_sentence_over_several_lines_is_one_line_of_the_answer_and_cited_as_it_stands() -> None:
    hits = [pages("Ein Raum heißt hausdorffsch,\nwenn Punkte Umgebungen haben. Anderes folgt hier.", first=12)]
    generated = await ExtractiveGenerator().generate("Wann heißt ein Raum hausdorffsch?", hits, max_words=60)
    assert generated.text == "Ein Raum heißt hausdorffsch, wenn Punkte Umgebungen haben. [1]"
    assert generated.citations[0].text == "Ein Raum heißt hausdorffsch,\nwenn Punkte Umgebungen haben."
    assert generated.citations[0].page == 12


async def test_hits_that_share_only_grammar_with_the_question_answer_nothing() -> None:
    generated = await ExtractiveGenerator().generate(
        "What is the capital of Mars?", [plain("This is the end of the list of ports.")], max_words=60
    )
    assert (generated.text, generated.citations) == ("Not found in the documents.", ())


async def test_a_longer_answer_has_more_quotes_and_none_twice() -> None:
    hits = [plain("Boarding closes early. Boarding closes at noon."), plain("Boarding closes early.")]
    generated = await ExtractiveGenerator().generate("When does boarding close?", hits, max_words=150)
    assert len(generated.citations) == 2
    assert generated.text.count("early") == 1
