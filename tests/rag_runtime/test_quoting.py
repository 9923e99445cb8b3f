"""The span that answers is found, with the place it lies in."""

from __future__ import annotations

import time

from rag_runtime.quoting import best_quote, ranked_quotes, spans, to_citation
from tests.rag_runtime.hits import pages, plain, rows


def test_a_table_is_quoted_by_row() -> None:
    hit = rows("name: Northern Light; cars: 120", "name: Southern Cross; cars: 80", first=7)
    best = to_citation(ranked_quotes("How many cars does the Southern Cross carry?", [hit])[0])
    assert (best.text, best.row, best.page) == ("name: Southern Cross; cars: 80", 8, None)


def test_prose_is_quoted_by_sentence_with_the_page_it_begins_on() -> None:
    hit = pages("The crew meets at six.", "Boarding closes ten minutes before departure. Dogs stay below.", first=3)
    best = to_citation(ranked_quotes("When does boarding close?", [hit])[0])
    assert (best.text, best.page, best.row) == ("Boarding closes ten minutes before departure.", 4, None)


def test_words_that_stand_in_every_row_decide_nothing() -> None:
    hit = rows("title: Ray; director: Taylor Hackford", "title: Selma; director: Ava DuVernay")
    assert "Selma" in ranked_quotes("Who is the director of the title Selma?", [hit])[0].text


def test_other_forms_of_a_word_count() -> None:
    quotes = ranked_quotes("Who directed it?", [plain("The director was Ada Lind. The cook was Bo Ek.")])
    assert quotes[0].text == "The director was Ada Lind."


def test_short_abbreviations_and_version_numbers_do_not_end_a_sentence() -> None:
    hit = plain("Das gilt z. B. für Version 3.2 von Dr. Lind. Der Rest folgt.")
    assert [hit.chunk.text[a:b] for a, b in spans(hit.chunk)] == [
        "Das gilt z. B. für Version 3.2 von Dr. Lind.",
        "Der Rest folgt.",
    ]


def test_numbered_headings_and_list_items_begin_a_span() -> None:
    hit = plain("Some proof\nDefinition 5\nA set is open.\n1) first case\n2) second case")
    assert [hit.chunk.text[a:b] for a, b in spans(hit.chunk)] == [
        "Some proof",
        "Definition 5\nA set is open.",
        "1) first case",
        "2) second case",
    ]


def test_a_question_in_the_text_does_not_answer_one() -> None:
    hits = [plain("Is a torus a manifold? Every torus is a closed manifold.")]
    assert ranked_quotes("Is a torus a manifold?", hits)[0].text == "Every torus is a closed manifold."


def test_a_span_without_end_is_cut() -> None:
    assert max(end - start for start, end in spans(plain("word " * 1000).chunk)) <= 700


def test_a_text_that_shares_no_word_is_quoted_from_its_beginning() -> None:
    assert best_quote("xyzzy", plain("Nothing of that.")).text == "Nothing of that."


def test_a_question_without_words_has_no_quotes() -> None:
    assert ranked_quotes("?!", [plain("Some text.")]) == []


def test_a_question_as_long_as_allowed_holds_the_others_up_for_a_moment_only() -> None:
    asked = " ".join(f"word{n:05d}" for n in range(6500))
    found = [plain(" ".join(f"{'abcdefghij'[n % 10]}ther{n}{m}" for m in range(150))) for n in range(30)]
    began = time.perf_counter()
    ranked_quotes(asked, found)
    assert time.perf_counter() - began < 0.5


def test_a_chunk_that_was_quoted_before_is_quoted_the_same_under_another_place() -> None:
    text = "The cook was Bo Ek. The director was Ada Lind."
    first, second = (
        ranked_quotes("Who directed it?", [hit])[0] for hit in (pages(text, first=1), pages(text, first=9))
    )
    assert (first.text, first.coverage) == (second.text, second.coverage)
    assert (to_citation(first).page, to_citation(second).page) == (1, 9)
