"""Plain text: one passage, no places."""

from __future__ import annotations

from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.decoding import decode
from rag_runtime.loading.parsed import Gathering, Parsed


def parse(data: bytes) -> Parsed:
    text, warnings = decode(data)
    found = Gathering()
    found.add(clean(text).strip())
    return found.parsed(warnings=warnings)
