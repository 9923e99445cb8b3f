"""Bytes to characters where nothing says how: by byte-order mark, else UTF-8, else Windows-1252 with a warning."""

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


def _windows_1252() -> str:
    """The code page as a table, with Latin-1 for the five bytes that it leaves undefined."""
    undefined = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    return "".join(chr(byte) if byte in undefined else bytes([byte]).decode("cp1252") for byte in range(256))


_TABLE = _windows_1252()


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The text, and a warning where its encoding was guessed."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode_marked(data[len(mark) :], encoding), ()
    if (position := data.find(0)) >= 0:
        raise DocumentUnreadable(f"it is no text: byte {position} is zero; send UTF-16 with a byte-order mark")
    try:
        return data.decode(), ()
    except UnicodeDecodeError as wrong:
        byte = data[wrong.start]
        warning = f"not UTF-8 (byte 0x{byte:02x} at position {wrong.start}): read as Windows-1252"
        return codecs.charmap_decode(data, "strict", _TABLE)[0], (warning,)


def _decode_marked(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as wrong:
        raise DocumentUnreadable(
            f"its byte-order mark says {encoding.upper()}, but position {wrong.start} is not: {wrong.reason}"
        ) from wrong
