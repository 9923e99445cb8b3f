"""Files as nobody should send them: what is wrong, the file, and what is to become of it.

An outcome is the request's status (415, 422), or the file's: "stored" or "failed", with words of the reason.
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.docxs import NAMESPACE, docx, packed, paragraph, relations
from tests.pdfs import pdf, pdf_of_streams


@dataclass(frozen=True)
class BadFile:
    name: str
    content: Callable[[], bytes]
    outcome: int | str
    words: str = ""


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def pdf_with(*objects: str, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1, whose table of them readers have to make anew."""
    body = "".join(f"{number} 0 obj{content}\nendobj\n" for number, content in enumerate(objects, start=1))
    return f"%PDF-1.4\n{body}trailer<</Size {len(objects) + 1}/Root {root} 0 R>>\n%%EOF".encode()


CATALOG, PAGE = "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"


def pages(kids: str, count: int, *more: str) -> bytes:
    return pdf_with(CATALOG, f"<</Type/Pages/Count {count}/Kids[{kids}]>>", *more)


def flate(times: int, data: bytes) -> bytes:
    for _ in range(times):
        data = zlib.compress(data, 9)
    filters = "/FlateDecode" * times
    head = f"<</Length {len(data)}/Filter[{filters}]>>stream\n".encode()
    whole = pages("3 0 R", 1, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>")
    return whole.replace(b"trailer", b"4 0 obj" + head + data + b"\nendstream\nendobj\ntrailer")


def pdf_doing(action: str) -> bytes:
    """A page with text whose catalog does something when it is opened."""
    return pdf(["Dogs stay below deck."]).replace(b"<</Type/Catalog", f"<</Type/Catalog/OpenAction{action}".encode())


def document_xml(content: str | bytes) -> bytes:
    return docx("", {"word/document.xml": content})


def laughs(depth: int) -> str:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, depth))
    return f'<!DOCTYPE d [<!ENTITY a0 "ha">{entities}]>'


def entity(what: str) -> bytes:
    body = f"<w:body>{paragraph('Dogs stay below deck. &x;')}</w:body>"
    return document_xml(f'<!DOCTYPE d [<!ENTITY {what}>]><w:document xmlns:w="{NAMESPACE}">{body}</w:document>')


def truncated(data: bytes, share: float = 0.5) -> bytes:
    return data[: int(len(data) * share)]


def locked_zip() -> bytes:
    """A package that says of each part that it is encrypted."""
    data = bytearray(docx(paragraph("words")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def lying_zip() -> bytes:
    """A package whose directory says that each part has no bytes."""
    data = bytearray(docx(paragraph("words")))
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 24 : at + 28] = struct.pack("<I", 0)
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def zip_in_zip(depth: int) -> bytes:
    data = b"words"
    for _ in range(depth):
        data = packed({"word/document.xml": data})
    return data


def twice_the_same_part() -> bytes:
    file = io.BytesIO(docx(paragraph("Dogs stay below deck.")))
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("word/document.xml.rels")
        archive.writestr(info, "<x/>")
        archive.writestr("../../../etc/cron.d/evil", "x")
    return file.getvalue()


TEXT = paragraph("Dogs stay below deck.")
YAML_BOMB = "---\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

CSVS: Mapping[str, BadFile] = {
    "no bytes": BadFile("a.csv", lambda: b"", 422, "is empty"),
    "a header alone": BadFile("a.csv", lambda: b"a,b\n", "failed", "no rows"),
    "a zero byte": BadFile("a.csv", lambda: b"a,b\n1,\x002\n", "failed", "is zero"),
    "zero bytes only": BadFile("a.csv", lambda: bytes(100_000), "failed", "is zero"),
    "noise": BadFile("a.csv", lambda: noise(100_000), "failed", "is zero"),
    "a quote never closed": BadFile("a.csv", lambda: b'a,b\n1,"2\n3,4\n', "failed", "never closed"),
    "5 million quotes": BadFile("a.csv", lambda: b"a\n" + b'"' * 5_000_001, "failed", "quote"),
    "a cell of 10 MB": BadFile("a.csv", lambda: b"a,b\n1," + b"x" * 10_000_000 + b"\n", "failed", "field"),
    "100,000 columns": BadFile("a.csv", lambda: b"a," * 100_000 + b"\n" + b"1," * 1000 + b"\n", "stored"),
    "rows wider than the header": BadFile("a.csv", lambda: b"a\n" + b"1," * 1000 + b"\n", "stored"),
    "nothing but commas": BadFile("a.csv", lambda: b",,,\n" * 1000, "failed", "no text"),
    "a million and one rows": BadFile("a.csv", lambda: b"a\n" + b"1\n" * 1_000_001, "failed", "rows"),
    "a formula": BadFile("a.csv", lambda: b"a,b\n=cmd|' /C calc'!A0,@SUM(1)\n", "stored"),
    "UTF-16 without a mark": BadFile("a.csv", lambda: "a,b\n1,2\n".encode("utf-16-le"), "failed", "is zero"),
    "half a UTF-16 character": BadFile("a.csv", lambda: "a,b\n1,2\n".encode("utf-16") + b"x", "failed", "UTF-16"),
    "line ends of old Macs": BadFile("a.csv", lambda: b"a,b\r1,2\r", "stored"),
    "a name of 80 kB for a column": BadFile("a.csv", lambda: b"x" * 80_000 + b",b\n1,2\n", "stored"),
}

PDFS: Mapping[str, BadFile] = {
    "a mark and no more": BadFile("a.pdf", lambda: b"%PDF-1.7", "failed", "broken"),
    "a text": BadFile("a.pdf", lambda: b"Dogs stay below deck.", "failed", "not a PDF"),
    "zeros": BadFile("a.pdf", lambda: bytes(1_000_000), "failed", "not a PDF"),
    "an image": BadFile("a.pdf", lambda: b"\x89PNG\r\n\x1a\n" + noise(1000), "failed", "not a PDF"),
    "noise after the mark": BadFile("a.pdf", lambda: b"%PDF-1.7\n" + noise(500_000), "failed", "broken"),
    "cut in the middle": BadFile("a.pdf", lambda: truncated(pdf(["x" * 500] * 20)), "failed"),
    "without its end": BadFile("a.pdf", lambda: pdf(["Dogs stay below deck."])[:-6], "stored"),
    "encrypted": BadFile("a.pdf", lambda: pdf(["x"], encrypted=True), "failed", "encrypted"),
    "scanned": BadFile("a.pdf", lambda: pages("3 0 R", 1, PAGE), "failed", "no text"),
    "100,000 empty pages": BadFile("a.pdf", lambda: pages("3 0 R " * 100_000, 100_000, PAGE), "failed", "pages"),
    "a million pages that are not there": BadFile("a.pdf", lambda: pages("3 0 R", 1_000_000, PAGE), "failed"),
    "no pages": BadFile("a.pdf", lambda: pages("", 0), "failed"),
    "pages that hold themselves": BadFile("a.pdf", lambda: pages("2 0 R", 1), "failed"),
    "a negative count": BadFile("a.pdf", lambda: pages("3 0 R", -5, PAGE), "failed"),
    "no catalog": BadFile("a.pdf", lambda: pdf_with("<<>>"), "failed"),
    "100,000 brackets": BadFile("a.pdf", lambda: pdf_with("[" * 100_000, root=1), "failed"),
    "a bomb": BadFile("a.pdf", lambda: flate(1, b" " * 200_000_000), "failed"),
    "a bomb in a bomb": BadFile("a.pdf", lambda: flate(3, b" " * 50_000_000), "failed"),
    "30 filters": BadFile("a.pdf", lambda: flate(30, b"BT ET"), "failed"),
    "an image of a billion points": BadFile(
        "a.pdf",
        lambda: pages(
            "3 0 R",
            1,
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<</XObject<</I 4 0 R>>>>/Contents 5 0 R>>",
            "<</Type/XObject/Subtype/Image/Width 1000000/Height 1000000/ColorSpace/DeviceRGB/BitsPerComponent 8"
            "/Length 0>>stream\n\nendstream",
            "<</Length 5>>stream\n/I Do\nendstream",
        ),
        "failed",
        "no text",
    ),
    "a script": BadFile("a.pdf", lambda: pdf_doing("<</S/JavaScript/JS(app.launchURL('http://a'))>>"), "stored"),
    "a program to launch": BadFile("a.pdf", lambda: pdf_doing("<</S/Launch/F(/bin/sh)>>"), "stored"),
    "a table that leads to itself": BadFile(
        "a.pdf", lambda: b"%PDF-1.4\nxref\n0 0\ntrailer<</Size 1/Prev 9>>\nstartxref\n9\n%%EOF", "failed"
    ),
    "a million saved states": BadFile("a.pdf", lambda: pdf_of_streams([b"q " * 1_000_000]), "failed", "no text"),
    "a page larger than the sky": BadFile("a.pdf", lambda: pdf(["words"]).replace(b"595 842", b"9e9 9e9"), "stored"),
}

DOCXS: Mapping[str, BadFile] = {
    "no package": BadFile("a.docx", lambda: b"Dogs stay below deck.", "failed"),
    "a mark and noise": BadFile("a.docx", lambda: b"PK\x03\x04" + noise(10_000), "failed"),
    "an empty package": BadFile("a.docx", lambda: packed({}), "failed"),
    "a package of something else": BadFile("a.docx", lambda: packed({"xl/workbook.xml": "<x/>"}), "failed"),
    "an old .doc": BadFile("a.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "failed"),
    "cut": BadFile("a.docx", lambda: truncated(docx(TEXT)), "failed"),
    "encrypted": BadFile("a.docx", locked_zip, "failed"),
    "sizes that lie": BadFile("a.docx", lying_zip, "failed"),
    "a bomb": BadFile("a.docx", lambda: document_xml(b" " * 300_000_000), "failed"),
    "a bomb beside the text": BadFile("a.docx", lambda: docx(TEXT, {"word/styles.xml": b" " * 300_000_000}), "failed"),
    "a package in a package": BadFile("a.docx", lambda: zip_in_zip(30), "failed"),
    "names that climb": BadFile("a.docx", twice_the_same_part, "stored"),
    "text of no XML": BadFile("a.docx", lambda: document_xml("Dogs"), "failed"),
    "XML cut off": BadFile("a.docx", lambda: document_xml("<w:document><w:body>"), "failed"),
    "a billion laughs": BadFile("a.docx", lambda: docx(paragraph("&a9;"), prolog=laughs(10)), "failed"),
    "an entity of this machine": BadFile("a.docx", lambda: entity('x SYSTEM "file:///etc/passwd"'), "failed"),
    "an entity of the network": BadFile("a.docx", lambda: entity('x SYSTEM "http://127.0.0.1:9/x"'), "failed"),
    "a parameter entity": BadFile("a.docx", lambda: entity('% p SYSTEM "http://127.0.0.1:9/x.dtd"'), "failed"),
    "a million elements deep": BadFile("a.docx", lambda: document_xml(b"<a>" * 1_000_000), "failed"),
    "100,000 tables deep": BadFile("a.docx", lambda: docx("<w:tbl><w:tr><w:tc>" * 100_000), "failed"),
    "an attribute of 20 MB": BadFile("a.docx", lambda: docx(f'<w:p a="{"x" * 20_000_000}"/>'), "failed"),
    "a part out of the package": BadFile(
        "a.docx", lambda: docx(TEXT, {"_rels/.rels": relations(officeDocument="../../../../etc/passwd")}), "failed"
    ),
    "a part on the network": BadFile(
        "a.docx", lambda: docx(TEXT, {"_rels/.rels": relations(officeDocument="http://127.0.0.1:9/x")}), "failed"
    ),
    "nothing in it": BadFile("a.docx", lambda: docx(""), "failed", "no text"),
}

MARKUPS: Mapping[str, BadFile] = {
    "a page of scripts": BadFile("a.html", lambda: b"<script>" + b"x();" * 100_000, "failed", "no text"),
    "a comment without end": BadFile("a.html", lambda: b"<!--" + b"x" * 5_000_000, "failed", "no text"),
    "400,000 blocks deep": BadFile("a.html", lambda: b"<div>" * 400_000 + b"words", "failed", "nested"),
    "400,000 lists deep": BadFile("a.html", lambda: b"<ul><li>" * 400_000 + b"words", "failed", "nested"),
    "100,000 tables deep": BadFile("a.html", lambda: b"<table><tr><td>" * 100_000 + b"words", "stored"),
    "10,000 attributes": BadFile(
        "a.html", lambda: b"<p " + b" ".join(b"a%d=1" % n for n in range(10_000)) + b">words", "stored"
    ),
    "an attribute of 20 MB": BadFile("a.html", lambda: b'<p class="' + b"x" * 20_000_000 + b'">words', "stored"),
    "frames of this machine": BadFile(
        "a.html",
        lambda: b'<iframe src="file:///etc/passwd"></iframe><img src="http://127.0.0.1"><p>words',
        "stored",
    ),
    "a charset that is none": BadFile("a.html", lambda: b'<meta charset="zlib_codec"><p>words', "stored"),
    "zeros in a page": BadFile("a.html", lambda: b"<p>wo\x00rds", "failed", "is zero"),
    "a page of noise": BadFile("a.html", lambda: noise(100_000), "failed", "is zero"),
    "an XML bomb": BadFile("a.xhtml", (laughs(12) + "<p>words &a11;</p>").encode, "stored"),
    "100,000 quotes deep": BadFile("a.md", lambda: b">" * 100_000 + b"words", "stored"),
    "50,000 brackets": BadFile("a.md", lambda: b"[" * 50_000 + b"words", "stored"),
    "emphasis without end": BadFile("a.md", lambda: b"*a **b " * 20_000, "stored"),
    "a fence without end": BadFile("a.md", lambda: b"```\nwords\n" * 1001, "stored"),
    "ticks of all lengths": BadFile("a.md", lambda: b" ".join(b"`" * n for n in range(1, 1500)), "stored"),
    "lists 1,500 deep": BadFile("a.md", lambda: b"".join(b" " * (2 * n) + b"- x\n" for n in range(1500)), "stored"),
    "a front matter that unfolds": BadFile("a.md", (YAML_BOMB + "---\nwords").encode, "stored"),
    "a front matter that runs": BadFile(
        "a.md", lambda: b"---\na: !!python/object/apply:os.system ['touch /tmp/evil']\n---\nwords", "stored"
    ),
    "a front matter without end": BadFile("a.md", lambda: b"---\n" + b"a: b\n" * 1000, "stored"),
}

TEXTS: Mapping[str, BadFile] = {
    "spaces": BadFile("a.txt", lambda: b" \n\t" * 10_000, "failed", "no text"),
    "a mark of byte order alone": BadFile("a.txt", lambda: b"\xef\xbb\xbf", "failed", "no text"),
    "a zero": BadFile("a.txt", lambda: b"words\x00words", "failed", "is zero"),
    "an archive": BadFile("a.txt", lambda: packed({"a": "b"}), "failed", "is zero"),
    "a gzip": BadFile("a.txt", lambda: gzip.compress(b"words" * 100), "failed"),
    "a program": BadFile("a.txt", lambda: b"\x7fELF" + bytes(100), "failed", "is zero"),
    "encoded surrogates": BadFile("a.txt", lambda: b"words \xed\xa0\x80 words", "stored"),
    "UTF-32 cut off": BadFile("a.txt", lambda: "words".encode("utf-32")[:-1], "failed", "UTF-32"),
    "a line without spaces": BadFile("a.txt", lambda: b"x" * 300_000, "stored"),
    "100,000 accents on a letter": BadFile("a.txt", ("e" + "\u0301" * 100_000).encode, "stored"),
    "200,000 spaces before a word": BadFile("a.txt", lambda: b" " * 200_000 + b"words", "stored"),
    "a million spaces between words": BadFile("a.txt", lambda: b"some" + b" " * 1_000_000 + b"words", "stored"),
    "a million blank lines": BadFile("a.txt", lambda: b"some" + b" \n" * 1_000_000 + b"words", "stored"),
    "control characters only": BadFile("a.txt", lambda: b"\x01\x02\x1b" * 1000, "failed", "no text"),
    "60 MB of text": BadFile("a.txt", lambda: b"a " * 25_500_000, "failed", "characters"),
    "a program by name": BadFile("a.exe", lambda: b"MZ", 415, "no type"),
    "a package of files": BadFile("a.zip", lambda: packed({"a": "b"}), 415),
    "a sheet": BadFile("a.xlsx", lambda: packed({"xl/workbook.xml": "<x/>"}), 415, "csv"),
    "an old document": BadFile("a.doc", lambda: b"\xd0\xcf\x11\xe0", 415, "docx"),
    "a name without a type": BadFile("README", lambda: b"words", 415),
    "a name that climbs": BadFile("../../etc/passwd.txt", lambda: b"words", "stored"),
    "a name of 2,000 letters": BadFile("x" * 2000 + ".txt", lambda: b"words", 422, "too long"),
}

EVERY: Mapping[str, BadFile] = {
    f"{kind}: {wrong}": file
    for kind, group in {"CSV": CSVS, "PDF": PDFS, "DOCX": DOCXS, "markup": MARKUPS, "text": TEXTS}.items()
    for wrong, file in group.items()
}
