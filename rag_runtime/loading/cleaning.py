"""Text as it is kept: one form for what looks the same, and nothing that no reader sees. Pure."""

from __future__ import annotations

import re
import unicodedata

_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Soft hyphen, zero-width space, word joiner, byte-order mark: hints to a typesetter.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
# Control characters, lone surrogates, private use (a font's own glyphs) and non-characters mean nothing elsewhere.
_MEANINGLESS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]")
_LATIN_LIGATURE = re.compile("[\ufb00-\ufb06]")
# From the first of them only: to try again from each takes the square of a long run.
_SPACES_AT_LINE_END = re.compile(r"(?<![ \t])[ \t]+(?=\n|$)")


def clean(text: str) -> str:
    text = _LINE_BREAKS.sub("\n", text)
    text = _INVISIBLE.sub("", text)
    text = _MEANINGLESS.sub(" ", text)
    text = _LATIN_LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)
    return unicodedata.normalize("NFC", _SPACES_AT_LINE_END.sub("", text))
