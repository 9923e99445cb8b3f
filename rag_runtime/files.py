"""Uploads to documents: the loaders of `loading`, their parsers in guarded child processes."""

from __future__ import annotations

from dataclasses import replace

from rag_runtime.domain import DocumentId, Loaded
from rag_runtime.errors import RequestError
from rag_runtime.ingest import Upload
from rag_runtime.loading import format_of, load, parse_here
from rag_runtime.loading.guard import Guard
from rag_runtime.loading.parsed import Parsed


class FileLoader:
    def __init__(self, guard: Guard | None = None) -> None:
        self._guard = guard or Guard()

    def check(self, upload: Upload) -> None:
        if not upload.head:
            raise RequestError(f"{upload.source} is empty: send a file that holds something")
        if not upload.is_text:
            format_of(upload.head, source=upload.source, media_type=upload.media_type)

    def load(self, upload: Upload, document_id: DocumentId) -> Loaded:
        parse = _as_text if upload.is_text else self._guard.parse
        loaded = load(
            upload.read(),
            source=upload.source,
            document_id=document_id,
            media_type=upload.media_type,
            metadata=upload.metadata,
            parse=parse,
        )
        return replace(loaded, document=replace(loaded.document, format="text")) if upload.is_text else loaded

    def close(self) -> None:
        self._guard.close()


def _as_text(_name: str, data: bytes) -> Parsed:
    """A text that was sent as such is one, whatever its source is called."""
    return parse_here("text", data)
