from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_runtime.adapters.fastembed import ModelTokenizer
from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import Chunk, Document, DocumentId, Mark, Passage, PlaceKind
from rag_runtime.ports import Tokenizer
from rag_runtime.testing import WordTokenizer
from tests.models import bert_tokenizer

LIMITS = ChunkLimits(target=40, maximum=64)
WORDS = WordTokenizer()
BERT = ModelTokenizer(bert_tokenizer(max_length=128))
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)
spaced_text = st.lists(st.sampled_from(["wing", "a", "flow.", "\n", "\n\n", "😀", "Größe;", "x" * 70]), max_size=600)


def document(*texts: str, kind: PlaceKind | None = None, content_hash: str = "h") -> Document:
    passages = tuple(Passage(text, number if kind else None) for number, text in enumerate(texts, start=1))
    return Document(DocumentId("d"), "s", "text", content_hash, passages, kind)


def cut(a_document: Document, limits: ChunkLimits = LIMITS, tokenizer: Tokenizer = WORDS) -> tuple[Chunk, ...]:
    return tuple(chunk_document(a_document, limits, tokenizer, index_key="index"))


def ink(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("tokenizer", [WORDS, BERT], ids=["words", "bert"])
@given(st.one_of(any_text, spaced_text.map(" ".join)))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_prose_is_kept_whole_and_no_chunk_exceeds_the_maximum(tokenizer: Tokenizer, text: str) -> None:
    chunks = cut(document(text), tokenizer=tokenizer)
    assert "".join(ink(chunk.text) for chunk in chunks) == ink(text)
    assert all(len(tokenizer.spans(chunk.text)) <= LIMITS.maximum for chunk in chunks)


@pytest.mark.parametrize("tokenizer", [WORDS, BERT], ids=["words", "bert"])
@given(st.lists(st.one_of(any_text.map(lambda text: " ".join(text.split())), spaced_text.map(" ".join)), max_size=12))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_rows_are_kept_whole_and_no_chunk_exceeds_the_maximum(tokenizer: Tokenizer, rows: list[str]) -> None:
    labelled = [f"name: {' '.join(row.split())}" for row in rows]
    chunks = cut(document(*labelled, kind=PlaceKind.ROW), tokenizer=tokenizer)
    assert all(len(tokenizer.spans(chunk.text)) <= LIMITS.maximum for chunk in chunks)
    assert all(ink(row) in ink("".join(c.text.removeprefix("name: ") for c in chunks)) for row in rows if len(row) < 90)


@given(st.lists(spaced_text.map(" ".join), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
def test_a_place_is_where_its_text_stood(pages: list[str]) -> None:
    numbered = [f"page{number} {text}" for number, text in enumerate(pages, start=1)]
    for chunk in cut(document(*numbered, kind=PlaceKind.PAGE)):
        assert chunk.place_at(0) is not None
        for number in range(1, len(pages) + 1):
            if (found := chunk.text.find(f"page{number}")) >= 0:
                assert chunk.place_at(found) == number


def test_a_text_up_to_the_maximum_is_one_chunk() -> None:
    assert len(cut(document("word " * LIMITS.maximum))) == 1
    assert len(cut(document("word " * (LIMITS.maximum + 1)))) == 2


def test_what_is_left_becomes_one_chunk_as_soon_as_it_fits() -> None:
    sizes = [len(WORDS.spans(chunk.text)) for chunk in cut(document("word " * (2 * 40 + 60)))]
    assert sizes == [40, 40, 60]


@pytest.mark.parametrize(
    ("glue", "boundary", "after"),
    [(" ", "\n\n", ""), (" ", ". ", "."), (" ", "\n", ""), ("", "; ", ";")],
    ids=["paragraph", "sentence", "line", "clause"],
)
def test_a_cut_is_made_at_the_best_boundary_near_the_target(glue: str, boundary: str, after: str) -> None:
    first = cut(document(glue.join("%" * 30) + boundary + glue.join("%" * 90)), tokenizer=WORDS)[0]
    assert first.text == glue.join("%" * 30) + after


def test_a_sentence_that_ends_in_full_width_marks_is_one() -> None:
    text = "流体力学" * 8 + "。" + "流体力学" * 40
    assert cut(document(text), tokenizer=BERT)[0].text.endswith("。")


def test_text_flows_on_across_pages_and_marks_where_each_begins() -> None:
    chunks = cut(document("one two", "three four", "five", kind=PlaceKind.PAGE))
    assert [(c.text, c.marks) for c in chunks] == [("one two\nthree four\nfive", (Mark(0, 1), Mark(8, 2), Mark(19, 3)))]


def test_rows_are_grouped_whole_up_to_the_target() -> None:
    rows = [f"name: {letter} {'x ' * 10}".strip() for letter in "abcdefghi"]
    chunks = cut(document(*rows, kind=PlaceKind.ROW))
    assert [chunk.text.count("\n") + 1 for chunk in chunks] == [2, 2, 2, 3]
    assert [chunk.marks[0].place for chunk in chunks] == [1, 3, 5, 7]


def test_a_row_that_is_too_long_keeps_its_mark_and_its_column() -> None:
    chunks = cut(document("id: 7; text: " + "word " * 120, "id: 8; text: end", kind=PlaceKind.ROW))
    assert [chunk.place_at(0) for chunk in chunks] == [1, 1, 1, 2]
    assert all(chunk.text.startswith("text: word") for chunk in chunks[1:3])


def test_a_megabyte_without_a_space_is_cut_in_bounded_time() -> None:
    began = time.perf_counter()
    chunks = cut(document("x" * 1_000_000), ChunkLimits(), BERT)
    assert sum(len(chunk.text) for chunk in chunks) == 1_000_000
    assert max(len(chunk.text) for chunk in chunks) <= 250 * 16
    assert time.perf_counter() - began < 30


def test_blank_documents_have_no_chunks() -> None:
    assert cut(document(" \n\t ")) == ()
    assert cut(document()) == ()
    assert cut(document(" ", "", kind=PlaceKind.ROW)) == ()


def test_an_id_changes_with_all_that_makes_another_point() -> None:
    text = "word " * 200
    same = [chunk.id for chunk in cut(document(text))]
    assert same == [chunk.id for chunk in cut(document(text))]
    assert len(set(same)) == len(same)
    others = {chunk.id for chunk in chunk_document(document(text), LIMITS, WORDS, index_key="other")}
    assert not others & set(same)
    assert not {chunk.id for chunk in cut(document(text, content_hash="i"))} & set(same)


@pytest.mark.parametrize(("target", "maximum"), [(0, 64), (65, 64), (8, 31)])
def test_limits_that_nothing_could_keep_are_refused(target: int, maximum: int) -> None:
    with pytest.raises(ValueError, match="tokens"):
        ChunkLimits(target, maximum)


@pytest.mark.parametrize("kind", [None, PlaceKind.ROW], ids=["prose", "rows"])
def test_a_large_document_is_cut_only_as_far_as_it_is_asked_for(kind: PlaceKind | None) -> None:
    """Else a service that is told to end would wait for a minute of cutting, which nothing can stop."""
    measured = 0

    class Counting(WordTokenizer):
        def spans(self, text: str) -> Sequence[tuple[int, int]]:
            nonlocal measured
            measured += len(text)
            return super().spans(text)

    whole = document(*["wing flow wing flow"] * 50_000, kind=kind)
    first = next(chunk_document(whole, LIMITS, Counting(), index_key="index"))
    assert first.text.startswith("wing flow")
    assert measured < 200_000
