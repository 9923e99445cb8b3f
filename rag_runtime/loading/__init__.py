"""Bytes to documents: which format they are in, what text they hold, and what makes two versions of them differ.

What bytes and type show is an error of the request; what only parsing shows is the file's own (DocumentUnreadable).
"""

from __future__ import annotations

import codecs
import hashlib
import importlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from rag_runtime.domain import Document, DocumentId, Loaded, Metadata
from rag_runtime.errors import DocumentUnreadable, RequestError, TooLarge, UnsupportedType
from rag_runtime.loading.decoding import decode
from rag_runtime.loading.parsed import MAX_TEXT_CHARACTERS, Parsed

__all__ = ["FORMATS", "Parse", "format_of", "from_text", "load", "parse_here"]

# Takes a format's name and the bytes. The other one is `guard.Guard.parse`, in a child process.
Parse = Callable[[str, bytes], Parsed]


def _parser(name: str) -> Callable[[bytes], Parsed]:
    """Its module's; imported with the first file, because the libraries are large and most of them stay unused."""

    def parse(data: bytes) -> Parsed:
        parsed: Parsed = importlib.import_module(f"{__name__}.{name}").parse(data)
        return parsed

    return parse


FORMATS: Mapping[str, Callable[[bytes], Parsed]] = MappingProxyType(
    {name: _parser(name) for name in ("csv", "docx", "html", "markdown", "pdf", "text")}
)

_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".docx": "docx",
    ".htm": "html",
    ".html": "html",
    ".xhtml": "html",
    ".markdown": "markdown",
    ".md": "markdown",
    ".pdf": "pdf",
    ".log": "text",
    ".text": "text",
    ".txt": "text",
}
_BY_MEDIA_TYPE = {
    "application/csv": "csv",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/x-pdf": "pdf",
    "application/xhtml+xml": "html",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "markdown",
    "text/plain": "text",
    "text/tab-separated-values": "csv",
    "text/x-markdown": "markdown",
}
# What an unread type can be saved as.
_INSTEAD = {
    **dict.fromkeys((".doc", ".dot", ".odt", ".rtf"), "docx"),
    **dict.fromkeys((".xls", ".xlsm", ".xlsx", ".ods"), "csv"),
    **dict.fromkeys((".ppt", ".pptx", ".odp", ".epub"), "pdf"),
}
_OF_CHARACTERS = frozenset({"csv", "html", "markdown", "text"})
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
# Some PDFs have something before their mark; readers look for it in the first kilobyte.
_PDF_MARK, _PDF_MARK_WITHIN = b"%PDF-", 1024
_ZIP_MARK, _DOCX_PART = b"PK\x03\x04", b"word/"
_HTML_MARK = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)

# Read in some milliseconds.
_SMALL_BYTES = 256 * 1024

_NO_METADATA: Metadata = MappingProxyType({})


def parse_here(name: str, data: bytes) -> Parsed:
    return FORMATS[name](data)


def load(
    data: bytes,
    *,
    source: str,
    document_id: DocumentId,
    media_type: str | None = None,
    metadata: Metadata = _NO_METADATA,
    parse: Parse = parse_here,
) -> Loaded:
    """Read a file. Its errors begin with its name."""
    if not data:
        raise RequestError(f"{source} is empty: send a file that holds something")
    name = format_of(data, source=source, media_type=media_type)
    if name == "text":
        # Four bytes are a character at least.
        _refuse_long_text(len(data) // 4, source)
        parse = _reader_of_text(data, parse)
    charset = _CHARSET.search(media_type or "")
    if charset and name in _OF_CHARACTERS:
        data = _as_declared(data, charset.group(1))
    parsed = _named(source, parse, name, data)
    return Loaded(_document(parsed, name, source, document_id, metadata), parsed.warnings)


def from_text(
    content: str,
    *,
    source: str,
    document_id: DocumentId,
    metadata: Metadata = _NO_METADATA,
    parse: Parse = parse_here,
) -> Loaded:
    """A document of text that came as such: it is text, whatever its source is called."""
    if not content or content.isspace():
        raise RequestError(f"{source} holds no text: send some")
    _refuse_long_text(len(content), source)
    data = content.replace("\0", " ").encode("utf-8", "replace")
    parsed = _named(source, _reader_of_text(data, parse), "text", data)
    return Loaded(_document(parsed, "text", source, document_id, metadata), parsed.warnings)


def format_of(data: bytes, *, source: str, media_type: str | None) -> str:
    """The format's name: a mark at the beginning decides, then the name's ending, then the type it was sent as."""
    suffix = PurePosixPath(source.lower()).suffix
    sent_as = (media_type or "").partition(";")[0].strip().lower()
    name = _BY_SUFFIX.get(suffix) or _BY_MEDIA_TYPE.get(sent_as)
    # Further on, it may be a text that speaks of the mark.
    if data.startswith(_PDF_MARK) or (name is None and _PDF_MARK in data[:_PDF_MARK_WITHIN]):
        return "pdf"
    name = name or _by_content(data, suffix)
    if name is None:
        shown = " ".join(part for part in (suffix[:20], sent_as[:80]) if part) or "an unknown type"
        instead = f"save it as {_INSTEAD[suffix]}; " if suffix in _INSTEAD else ""
        read = ", ".join(sorted(FORMATS))
        raise UnsupportedType(f"{source} is of no type that is read here ({shown}): {instead}send {read}")
    return name


def _by_content(data: bytes, suffix: str) -> str | None:
    """What neither name nor type tells. The marks are of whole families, so a name of another one is believed."""
    if suffix in _INSTEAD:
        return None
    if data.startswith(_ZIP_MARK):
        return "docx" if _DOCX_PART in data else None
    return "html" if _HTML_MARK.match(data) else None


def _as_declared(data: bytes, charset: str) -> bytes:
    """The same characters so that no parser need be told of the encoding; as they are where that does not fit."""
    try:
        text, warnings = decode(data, charset)
    except DocumentUnreadable:
        return data
    return data if warnings else codecs.BOM_UTF8 + text.encode()


def _reader_of_text(data: bytes, parse: Parse) -> Parse:
    """Text needs no guard, but a large one is read in another process: each step holds the interpreter up."""
    return parse_here if len(data) <= _SMALL_BYTES else parse


def _named(source: str, parse: Parse, name: str, data: bytes) -> Parsed:
    try:
        return parse(name, data)
    except DocumentUnreadable as unreadable:
        raise DocumentUnreadable(f"{source} cannot be read: {unreadable}") from unreadable


def _refuse_long_text(characters: int, source: str) -> None:
    if characters > MAX_TEXT_CHARACTERS:
        raise TooLarge(f"{source} holds more than {MAX_TEXT_CHARACTERS:,} characters: split it")


def _document(parsed: Parsed, name: str, source: str, document_id: DocumentId, sent: Metadata) -> Document:
    """What it was sent with stands before what it says of itself."""
    metadata = {**parsed.metadata, **sent}
    return Document(
        id=document_id,
        source=source,
        format=name,
        content_hash=_content_hash(parsed, source, metadata),
        passages=parsed.passages,
        place_kind=parsed.place_kind,
        metadata=metadata,
    )


def _content_hash(parsed: Parsed, source: str, metadata: Metadata) -> str:
    digest = hashlib.sha256(json.dumps([source, dict(metadata)], sort_keys=True, default=list).encode())
    for passage in parsed.passages:
        content = passage.text.encode()
        digest.update(f"\n{passage.place} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()
