"""Markdown (CommonMark, with tables): rendered as HTML, as it is meant to be read, and read as that.

A front matter is no text; of a simple one the values become metadata.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag_runtime.loading import front_matter, html
from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.decoding import decode
from rag_runtime.loading.parsed import Gathering, Parsed

# Understanding it takes about ten seconds for each million characters.
MAX_MARKED_CHARACTERS = 4_000_000
# What is nested deeper, the library drops.
MAX_NESTED = 100

_FENCE = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


def parse(data: bytes) -> Parsed:
    text, warnings = decode(data)
    text, metadata = _without_front_matter(text)
    shown, more = _shown(text)
    title = metadata.get("title")
    found = Gathering()
    if isinstance(title, str) and shown.partition("\n")[0] != title:
        found.add(clean(title).strip())
    found.add(shown)
    return found.parsed(warnings=warnings + more, metadata=metadata)


def _without_front_matter(text: str) -> tuple[str, front_matter.Values]:
    match = _FENCE.match(text)
    values = front_matter.read(match.group(1)) if match else None
    # Else it is a line drawn above a text.
    return (text, {}) if match is None or values is None else (text[match.end() :], values)


def _shown(text: str) -> tuple[str, tuple[str, ...]]:
    if len(text) > MAX_MARKED_CHARACTERS:
        return _plain(text), (f"longer than {MAX_MARKED_CHARACTERS:,} characters: its Markdown was read as plain text",)
    reader = MarkdownIt("commonmark", {"html": True, "maxNesting": MAX_NESTED}).enable(["table", "strikethrough"])
    tokens = reader.parse(text)
    if _depth(tokens) >= MAX_NESTED - 1:
        return _plain(text), (f"nested more than {MAX_NESTED - 1} deep: its Markdown was read as plain text",)
    return html.to_text(reader.renderer.render(tokens, reader.options, {})), ()


def _plain(text: str) -> str:
    return clean(text).strip()


def _depth(tokens: list[Token]) -> int:
    return max((token.level for token in tokens), default=0)
