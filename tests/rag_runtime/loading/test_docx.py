from __future__ import annotations

import io
from contextlib import suppress

import pytest
from docx import Document
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import docx
from tests.docxs import docx as write_docx
from tests.docxs import packed, paragraph, relations, styles, table

FLEET = (["Name", "Cars", "Master"], ["Northern Light", "120", "Ada Lind"])


def read(body: str, **parts: str) -> str:
    named = {f"word/{name}.xml": content for name, content in parts.items()}
    return docx.parse(write_docx(body, named)).passages[0].text


def saved(document: object) -> bytes:
    file = io.BytesIO()
    document.save(file)  # type: ignore[attr-defined]
    return file.getvalue()


def test_a_file_of_an_editor_is_read_in_order() -> None:
    written = Document()
    written.add_heading("Handbook", 0)
    written.add_heading("Dogs", 1)
    written.add_paragraph("They stay ").add_run("below").bold = True
    written.add_paragraph("on leads", style="List Bullet")
    written.add_paragraph("with permits", style="List Number")
    rows = written.add_table(2, 3).rows
    for row, texts in zip(rows, FLEET, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    written.add_paragraph("The end.")
    parsed = docx.parse(saved(written))
    assert parsed.place_kind is None
    assert parsed.passages[0].text == (
        "Handbook\nDogs\nThey stay below\n- on leads\n- with permits\n\n"
        "Name: Northern Light; Cars: 120; Master: Ada Lind\n\nThe end."
    )


HIDDEN_RUN = "<w:p><w:r><w:t>seen </w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r></w:p>"
TRACKED = "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:t>old</w:t></w:r></w:del></w:p>"
FALLBACK = "<w:p><w:r><x><w:t>box</w:t></x><Fallback><w:t>box</w:t></Fallback></w:r></w:p>"
SIGNS = (
    '<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr>'
    "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
)
SPANNED = (
    "<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr>"
    f"<w:tc><w:tcPr><w:gridSpan w:val='2'/></w:tcPr>{paragraph('Ship')}</w:tc><w:tc>{paragraph('Port')}</w:tc></w:tr>"
    f"<w:tr><w:tc>{paragraph('1')}</w:tc><w:tc>{paragraph('Light')}</w:tc>"
    f"<w:tc><w:tcPr><w:vMerge w:val='restart'/></w:tcPr>{paragraph('Oslo')}</w:tc></w:tr>"
    f"<w:tr><w:tc>{paragraph('2')}</w:tc><w:tc>{paragraph('Star')}</w:tc><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc>"
    "</w:tr></w:tbl>"
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (HIDDEN_RUN, "seen"),
        (TRACKED, "new"),
        (FALLBACK, "box"),
        (SIGNS, "a b\nc"),
        (paragraph("A", '<w:outlineLvl w:val="1"/>') + paragraph("B"), "A\nB"),
        (paragraph("A", '<w:numPr><w:numId w:val="3"/></w:numPr>'), "- A"),
        (paragraph("A", '<w:numPr><w:numId w:val="0"/></w:numPr>'), "A"),
        (table(["Owner", "Eva"], ["Port", "Oslo"], properties='<w:tblLook w:firstRow="1"/>'), "Owner; Eva\nPort; Oslo"),
        (table(["Item", "Price"], ["Rope", "3"], header="<w:tblHeader/>"), "Item: Rope; Price: 3"),
        (table(*FLEET, properties='<w:tblLook w:val="0420"/>'), "Name: Northern Light; Cars: 120; Master: Ada Lind"),
        (table(*FLEET), "Name; Cars; Master\nNorthern Light; 120; Ada Lind"),
        (SPANNED, "Ship: 1; Ship: Light; Port: Oslo\nShip: 2; Ship: Star; Port: Oslo"),
    ],
    ids=[
        "hidden run",
        "tracked change",
        "fallback for older readers",
        "tabs and breaks",
        "outline level",
        "list item",
        "no list item",
        "two columns",
        "marked header",
        "look in bits",
        "no header",
        "merged cells",
    ],
)
def test_what_is_read_of_a_text(body: str, expected: str) -> None:
    assert read(body) == expected


def test_a_heading_is_known_by_its_style_in_every_language() -> None:
    known = styles(
        '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="Eigene"><w:name w:val="Eigene"/><w:basedOn w:val="berschrift1"/></w:style>'
    )
    body = paragraph("Eins.") + paragraph("Hunde", '<w:pStyle w:val="Eigene"/>') + paragraph("Unter Deck.")
    assert read(body, styles=known) == "Eins.\n\nHunde\nUnter Deck."


def test_a_style_that_is_based_on_itself_is_none() -> None:
    known = styles('<w:style w:styleId="a"><w:basedOn w:val="a"/></w:style>')
    assert read(paragraph("x", '<w:pStyle w:val="a"/>'), styles=known) == "x"


def test_a_footnote_stands_where_it_is_referred_to_and_once() -> None:
    reference = '<w:p><w:r><w:t>Fee</w:t><w:footnoteReference w:id="2"/></w:r></w:p>'
    notes = styles(f'<w:footnote w:id="2">{paragraph("waived in May")}</w:footnote>').replace("styles", "footnotes")
    assert read(reference * 2, footnotes=notes) == "Fee [waived in May]\n\nFee"


OLE = bytes.fromhex("d0cf11e0a1b11ae1")
LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTWARD = '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
WHOLE = write_docx(paragraph("x"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (OLE + b"\0" * 500 + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (OLE + b"\0" * 500, "old Word file"),
        (b"PK\x03\x04 and no more", "no DOCX, or a broken one"),
        (b"<html>exported</html>", "no DOCX"),
        (WHOLE[:-30], "no DOCX, or a broken one"),
        (packed({"a.txt": "x"}), "no main text"),
        (packed({"_rels/.rels": relations(officeDocument="../../etc/passwd")}), "no main text"),
        (packed({"_rels/.rels": relations(officeDocument="xl/w.xml"), "xl/w.xml": "<workbook/>"}), "'workbook'"),
        (write_docx("&a;", prolog=OUTWARD), "document type"),
        (write_docx("&b;", prolog=LAUGHS), "document type"),
        (write_docx("", {"word/styles.xml": LAUGHS + "<styles/>"}), "document type"),
        (write_docx("&undefined;"), "broken DOCX"),
        (write_docx("<w:p>"), "broken DOCX"),
        (write_docx("", {"word/document.xml": b""}), "broken DOCX"),
        (write_docx("", {"word/document.xml": '<?xml version="1.0" encoding="utf-7"?><document/>'}), "DOCX"),
        (write_docx(""), "no text"),
        (write_docx("<w:p><w:r><w:drawing/></w:r></w:p>"), "no text"),
    ],
    ids=[
        "encrypted",
        "old format",
        "no package",
        "HTML",
        "cut short",
        "another zip",
        "slipping name",
        "spreadsheet",
        "outward entity",
        "billion laughs",
        "laughs in the styles",
        "undefined entity",
        "unclosed",
        "empty part",
        "odd encoding",
        "empty",
        "image alone",
    ],
)
def test_a_file_without_readable_text_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=reason):
        docx.parse(data)


def test_a_locked_zip_is_refused() -> None:
    locked = bytearray(write_docx(paragraph("x")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := locked.find(mark, at + 1)) >= 0:
            locked[at + offset] |= 1
    with pytest.raises(DocumentUnreadable, match="packed in a way"):
        docx.parse(bytes(locked))


def test_what_unpacks_to_too_much_is_given_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx, "MAX_PART_BYTES", 2**20)
    with pytest.raises(DocumentUnreadable, match="more than 1 MB"):
        docx.parse(write_docx("<w:p/>" * 300_000))


def test_other_parts_of_any_size_are_left_packed() -> None:
    with_image = write_docx(paragraph("text"), {"word/media/image1.png": b"\0" * 50_000_000, "../../evil": b"x"})
    assert docx.parse(with_image).passages[0].text == "text"


@pytest.mark.parametrize(
    "body",
    [
        "<w:p>" * 50_000 + "</w:p>" * 50_000,
        "<w:tbl><w:tr><w:tc>" * 20_000 + "</w:tc></w:tr></w:tbl>" * 20_000,
        "<w:tc/><w:tr/><w:gridSpan/><w:vMerge/><w:tblHeader/><w:numId/><w:r/><w:vanish/>",
    ],
    ids=["paragraphs in each other", "tables in each other", "all in the wrong place"],
)
def test_nesting_is_no_danger(body: str) -> None:
    assert read(body + paragraph("x")) == "x"


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(position: int, damage: bytes) -> None:
    with suppress(DocumentUnreadable):
        assert docx.parse(WHOLE[:position] + damage + WHOLE[position + len(damage) :]).passages
