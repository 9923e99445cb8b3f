"""Bytes to characters: by byte-order mark, else as declared, else UTF-8, else Windows-1252 with a warning."""

from __future__ import annotations

import codecs

from rag_runtime.errors import DocumentUnreadable

# UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WINDOWS_1252 = "cp1252"
# What a declared name is taken for where that holds more: https://encoding.spec.whatwg.org/#names-and-labels
_WIDER = {
    "ascii": _WINDOWS_1252,
    "iso8859-1": _WINDOWS_1252,
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
# Python knows more, among them some that are no encodings of text or are slow to read.
_DECLARABLE_NAMES = (
    "utf-8 utf-16-le utf-16-be cp866 cp874 cp932 cp949 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 "
    "iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 "
    "iso8859-16 koi8-r koi8-u mac-roman mac-cyrillic gb18030 big5 big5hkscs euc_jp iso2022_jp"
)
_DECLARABLE = frozenset(_DECLARABLE_NAMES.split())


def _windows_1252() -> str:
    """The code page as a table, with Latin-1 for the five bytes that it leaves undefined."""
    undefined = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    return "".join(chr(byte) if byte in undefined else bytes([byte]).decode("cp1252") for byte in range(256))


_TABLE = _windows_1252()


def decode(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The text, and a warning where its encoding was guessed or is not the declared one."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode_marked(data[len(mark) :], encoding), ()
    known = encoding_named(declared) if declared else None
    if known in ("utf-16-le", "utf-16-be"):
        # Whatever could be read so far to find the declaration was not in that.
        known = "utf-8" if data.find(0) < 0 else known
    elif (position := data.find(0)) >= 0:
        raise DocumentUnreadable(f"it is no text: byte {position} is zero; send UTF-16 with a byte-order mark")
    return _decode_declared(data, known) if known else _decode_guessed(data)


def encoding_named(label: str) -> str | None:
    """Python's name for a declared encoding; None where it is none that is read here."""
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None
    name = _WIDER.get(name, name)
    return name if name in _DECLARABLE else None


def _decode_guessed(data: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        return data.decode(), ()
    except UnicodeDecodeError as wrong:
        byte = data[wrong.start]
        warning = f"not UTF-8 (byte 0x{byte:02x} at position {wrong.start}): read as Windows-1252"
        return codecs.charmap_decode(data, "strict", _TABLE)[0], (warning,)


def _decode_declared(data: bytes, encoding: str) -> tuple[str, tuple[str, ...]]:
    if encoding == _WINDOWS_1252:
        return codecs.charmap_decode(data, "strict", _TABLE)[0], ()
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError as wrong:
        warning = f"declared as {encoding.upper()}, which position {wrong.start} is not: shown as a question mark"
        return data.decode(encoding, "replace"), (warning,)


def _decode_marked(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as wrong:
        raise DocumentUnreadable(
            f"its byte-order mark says {encoding.upper()}, but position {wrong.start} is not: {wrong.reason}"
        ) from wrong
