"""Uploads to documents: the loaders of `loading`, their parsers in guarded child processes."""

from __future__ import annotations

from rag_runtime.domain import DocumentId, Loaded
from rag_runtime.errors import RequestError
from rag_runtime.ingest import Upload
from rag_runtime.loading import format_of, from_text, load
from rag_runtime.loading.guard import Guard


class FileLoader:
    def __init__(self, guard: Guard | None = None) -> None:
        self._guard = guard or Guard()

    def check(self, upload: Upload) -> None:
        if not upload.head:
            raise RequestError(f"{upload.source} is empty: send a file that holds something")
        if not upload.is_text:
            format_of(upload.head, source=upload.source, media_type=upload.media_type)

    def load(self, upload: Upload, document_id: DocumentId) -> Loaded:
        data = upload.read()
        if upload.is_text:
            return from_text(
                data.decode(),
                source=upload.source,
                document_id=document_id,
                metadata=upload.metadata,
                parse=self._guard.parse,
            )
        return load(
            data,
            source=upload.source,
            document_id=document_id,
            media_type=upload.media_type,
            metadata=upload.metadata,
            parse=self._guard.parse,
        )

    def close(self) -> None:
        self._guard.close()
