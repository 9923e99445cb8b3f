"""PDF: the text of each page, in the order in which pdfium reads it. No images, no scripts, no attachments."""

from __future__ import annotations

import re

import pypdfium2 as pdfium
from pypdfium2 import raw

from rag_runtime.domain import PlaceKind
from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.parsed import Gathering, Parsed

MAX_PAGES = 5_000

# pdfium joins a word that is hyphenated at a line's end, and leaves this mark where the hyphen stood.
_HYPHEN = re.compile("\ufffe(\\w?)")


def parse(data: bytes) -> Parsed:
    document = _opened(data)
    try:
        if len(document) > MAX_PAGES:
            raise DocumentUnreadable(f"it has {len(document):,} pages: at most {MAX_PAGES:,} are read, split it")
        found = Gathering()
        for number in range(len(document)):
            found.add(_page_text(document, number), number + 1)
    finally:
        document.close()
    return found.parsed(PlaceKind.PAGE)


def _opened(data: bytes) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as broken:
        if broken.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise DocumentUnreadable("it is encrypted: send it without a password") from broken
        raise DocumentUnreadable("it is not a PDF, or a broken one: no page can be read") from broken


def _page_text(document: pdfium.PdfDocument, number: int) -> str:
    try:
        page = document[number]
        text_page = page.get_textpage()
        text: str = text_page.get_text_range()
    except pdfium.PdfiumError as broken:
        raise DocumentUnreadable(f"its page {number + 1} is broken") from broken
    text_page.close()
    page.close()
    return clean(_HYPHEN.sub(_joined, text)).strip()


def _joined(mark: re.Match[str]) -> str:
    """A capital after the hyphen means that it belongs to the word."""
    following = mark.group(1)
    return following if following.islower() else f"-{following}"
