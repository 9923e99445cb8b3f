from __future__ import annotations

import pytest

from rag_runtime.domain import DocumentId, Loaded, Metadata
from rag_runtime.errors import DocumentUnreadable, RequestError, TooLarge, UnsupportedType
from rag_runtime.loading import format_of, from_text, load, parse_here, parsed
from tests.docxs import docx
from tests.pdfs import pdf

ID = DocumentId("d")
DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def text(content: str, metadata: Metadata | None = None) -> Loaded:
    return from_text(content, source="note", document_id=ID, metadata=metadata or {})


@pytest.mark.parametrize(
    ("data", "source", "media_type", "expected"),
    [
        (pdf(["x"]), "a.csv", "text/csv", "pdf"),
        (b"junk\n%PDF-1.4", "a", None, "pdf"),
        (b"junk\n%PDF-1.4", "a.pdf", None, "pdf"),
        (b"A file begins with %PDF-1.7", "notes.txt", "text/plain", "text"),
        (b"a,b", "A.CSV", "application/vnd.ms-excel", "csv"),
        (b"a\tb", "a.tsv", None, "csv"),
        (b"a,b", "export", "text/csv; charset=utf-8", "csv"),
        (b"words", "notes.txt", "application/octet-stream", "text"),
        (b"# words", "README.md", "text/plain", "markdown"),
        (b"# words", "README", "text/markdown", "markdown"),
        (b"words", "a.HTM", None, "html"),
        (b"words", "http://x.example/page", "text/html; charset=utf-8", "html"),
        (b"\xef\xbb\xbf <!-- saved -->\n<!DOCTYPE html>", "page", "application/octet-stream", "html"),
        (b"<html> is how a page begins", "notes.txt", None, "text"),
        (docx("x"), "a.docx", None, "docx"),
        (docx("x"), "a", "application/octet-stream", "docx"),
        (b"PK\x03\x04", "a", DOCX_TYPE, "docx"),
        (b"words", "no ending", "text/plain", "text"),
    ],
)
def test_the_format_is_told_by_bytes_then_name_then_type(
    data: bytes, source: str, media_type: str | None, expected: str
) -> None:
    assert format_of(data, source=source, media_type=media_type) == expected


@pytest.mark.parametrize(
    ("source", "media_type"),
    [("a.exe", None), ("a", None), ("a.docx.bak", "application/octet-stream"), ("a.png", "image/png")],
)
def test_other_types_are_refused_by_name(source: str, media_type: str | None) -> None:
    with pytest.raises(UnsupportedType, match="send csv, docx, html, markdown, pdf, text"):
        load(b"x", source=source, document_id=ID, media_type=media_type)


@pytest.mark.parametrize(("source", "instead"), [("a.doc", "docx"), ("a.xlsx", "csv"), ("a.pptx", "pdf")])
def test_a_relative_of_what_is_read_is_refused_with_what_to_save_it_as(source: str, instead: str) -> None:
    with pytest.raises(UnsupportedType, match=f"save it as {instead}; send csv"):
        load(docx("x"), source=source, document_id=ID)


@pytest.mark.parametrize("source", ["a.txt", "a.md", "a.html", "a.csv"])
def test_an_encoding_that_the_sender_declares_is_read(source: str) -> None:
    data = "name\nщит\n".encode("koi8-r")
    loaded = load(data, source=source, document_id=ID, media_type="text/x; charset=KOI8-R")
    assert "щит" in loaded.document.passages[0].text
    assert loaded.warnings == ()


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "nonsense"])
def test_a_declaration_that_does_not_fit_is_passed_over(charset: str) -> None:
    loaded = load(b"Gr\xf6\xdfe", source="a.txt", document_id=ID, media_type=f"text/plain; charset={charset}")
    assert loaded.document.passages[0].text == "Größe"


def test_what_a_file_was_sent_with_stands_before_what_it_says_of_itself() -> None:
    data = b"---\nteam: ops\nyear: 1958\n---\nwings"
    loaded = load(data, source="a.md", document_id=ID, metadata={"team": "sales"})
    assert loaded.document.metadata == {"team": "sales", "year": 1958}


def test_an_empty_file_is_the_request_s_fault() -> None:
    with pytest.raises(RequestError, match=r"a\.csv is empty"):
        load(b"", source="a.csv", document_id=ID)
    with pytest.raises(RequestError, match="holds no text"):
        text(" \n ")


def test_an_unreadable_file_is_named_with_the_reason() -> None:
    with pytest.raises(DocumentUnreadable, match=r"a\.pdf cannot be read: .*broken"):
        load(b"%PDF-1.4", source="a.pdf", document_id=ID)


def test_a_document_has_what_it_was_sent_with() -> None:
    loaded = load(b"a;b\n1;\xdf\n", source="t.csv", document_id=ID, metadata={"year": 1958})
    document = loaded.document
    assert (document.id, document.source, document.format, document.metadata) == ("d", "t.csv", "csv", {"year": 1958})
    assert len(loaded.warnings) == 1


def test_the_content_hash_changes_with_source_text_places_and_metadata_only() -> None:
    """With the source too, as a citation shows it."""
    same = text("wings").document.content_hash
    assert from_text("wings", source="note", document_id=DocumentId("e")).document.content_hash == same
    renamed = from_text("wings", source="other", document_id=ID).document.content_hash
    pages = load(pdf(["wings"]), source="note", document_id=ID, media_type="application/pdf").document.content_hash
    others = [text("wing").document.content_hash, text("wings", {"a": 1}).document.content_hash, renamed, pages]
    assert len({same, *others}) == 5


@pytest.mark.parametrize("source", ["x.pdf", "x.csv", "x.exe"])
def test_a_text_sent_as_such_is_text_whatever_its_source_is_called(source: str) -> None:
    loaded = from_text("%PDF-1.7 is how\0such a file begins, and a,b\n1,2 another", source=source, document_id=ID)
    assert (loaded.document.format, loaded.document.place_kind) == ("text", None)
    assert loaded.document.passages[0].text == "%PDF-1.7 is how such a file begins, and a,b\n1,2 another"


def test_text_of_nothing_visible_is_named() -> None:
    with pytest.raises(DocumentUnreadable, match="note cannot be read: no text"):
        text("\u200b")


def test_text_with_lone_surrogates_is_kept_without_them() -> None:
    assert text("wing \ud83d flow").document.passages[0].text == "wing ? flow"


def test_more_text_than_a_document_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_runtime.loading.MAX_TEXT_CHARACTERS", 10)
    monkeypatch.setattr(parsed, "MAX_TEXT_CHARACTERS", 10)
    with pytest.raises(TooLarge, match="note holds more than 10 characters"):
        text("x" * 11)
    with pytest.raises(DocumentUnreadable, match="more than 10 characters"):
        load(b"column\nvalue\n", source="a.csv", document_id=ID)


@pytest.mark.parametrize(("characters", "elsewhere"), [(1000, False), (1_000_000, True)])
def test_a_large_text_is_read_where_it_holds_nobody_up(characters: int, elsewhere: bool) -> None:
    read: list[str] = []

    def parse(name: str, data: bytes) -> parsed.Parsed:
        read.append(name)
        return parse_here(name, data)

    content = "word " * (characters // 5)
    sent = from_text(content, source="note", document_id=ID, parse=parse)
    loaded = load(content.encode(), source="note.txt", document_id=ID, parse=parse)
    assert read == (["text", "text"] if elsewhere else [])
    assert sent.document.passages == loaded.document.passages
