from __future__ import annotations

import codecs

import pytest

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading.decoding import decode, encoding_named


@pytest.mark.parametrize(
    "data",
    [
        "Größe €".encode(),
        "Größe €".encode("utf-8-sig"),
        "Größe €".encode("utf-16"),
        codecs.BOM_UTF16_BE + "Größe €".encode("utf-16-be"),
        "Größe €".encode("utf-32"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16", "utf-16 big-endian", "utf-32"],
)
def test_unicode_is_told_by_its_mark_or_by_itself(data: bytes) -> None:
    assert decode(data) == ("Größe €", ())


def test_other_bytes_are_windows_1252_with_latin_1_for_what_that_leaves_undefined() -> None:
    text, warnings = decode(b"Gr\xf6\xdfe \x80 \x81\x8d")
    assert text == "Größe € \x81\x8d"
    assert warnings == ("not UTF-8 (byte 0xf6 at position 2): read as Windows-1252",)


@pytest.mark.parametrize("label", ["ISO-8859-1", " windows-1252", "us-ascii", "latin1"])
def test_a_declared_encoding_is_believed_and_the_wider_one_meant(label: str) -> None:
    assert decode(b"Gr\xf6\xdfe \x80", label) == ("Größe €", ())


@pytest.mark.parametrize("label", ["", "idna", "punycode", "unicode_escape", "utf-7", "base64", "rot13", "../x", "\0"])
def test_what_is_no_encoding_of_texts_is_never_used(label: str) -> None:
    assert encoding_named(label) is None
    assert decode("Größe".encode(), label) == ("Größe", ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (codecs.BOM_UTF8 + b"ok \xff", "says UTF-8, but position 3"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8x", "UTF-16-LE"),
        (b"MZ\x90\x00\x03", "byte 3 is zero"),
    ],
    ids=["broken utf-8", "broken utf-16", "binary"],
)
def test_what_is_no_text_is_refused_with_its_position(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=reason):
        decode(data)
