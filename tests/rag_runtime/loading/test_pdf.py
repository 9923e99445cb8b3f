from __future__ import annotations

import pytest

from rag_runtime.domain import Passage, PlaceKind
from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import pdf
from tests.pdfs import pdf as write_pdf
from tests.shared_data import shared


def test_each_page_is_a_passage_and_pages_count_from_one() -> None:
    parsed = pdf.parse(write_pdf(["Wings lift.", "", "Größe (groß)\nzählt."]))
    assert parsed.place_kind is PlaceKind.PAGE
    assert parsed.passages == (Passage("Wings lift.", 1), Passage("Größe (groß)\nzählt.", 3))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (write_pdf(["locked"], encrypted=True), "encrypted"),
        (b"%PDF-1.4\nnothing more", "broken"),
        (write_pdf(["text"])[:200], "broken"),
        (write_pdf(["", " "]), "no text"),
    ],
    ids=["encrypted", "no pages", "cut short", "scanned"],
)
def test_a_file_without_readable_text_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=reason):
        pdf.parse(data)


def test_more_pages_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    with pytest.raises(DocumentUnreadable, match="3 pages: at most 2"):
        pdf.parse(write_pdf(["a", "b", "c"]))


def test_a_real_german_text_has_its_words_joined_and_its_pages_kept() -> None:
    parsed = pdf.parse(shared("pdf/GeoTopo-komprimiert.pdf").read_bytes())
    pages = {passage.place: passage.text for passage in parsed.passages}
    assert len(pages) == 117
    assert "unterschiedlichem Mittelpunkt" in pages[6]
    assert "Schwarz-Weiß" in pages[2]
    assert not any("\ufffe" in text or "\r" in text for text in pages.values())


def test_two_columns_are_read_one_after_the_other() -> None:
    text = pdf.parse(shared("pdf/multicolumn.pdf").read_bytes()).passages[0].text
    assert "consectetuer adipiscing elit" in text
    assert "con-\n" not in text
