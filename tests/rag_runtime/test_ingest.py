"""What a document is called, and what is taken for another version of it."""

from __future__ import annotations

import pytest

from rag_runtime.errors import RequestError
from rag_runtime.ingest import normalize_source


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("./a//b.txt", "a/b.txt"),
        ("C:\\docs\\b.txt", "C:/docs/b.txt"),
        ("/etc/passwd", "etc/passwd"),
        ("e\u0301.txt", "\u00e9.txt"),
        ('a\n{"level":"error"}.txt', 'a{"level":"error"}.txt'),
        ("a\u2028b.txt", "ab.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("क्\u200dष.txt", "क्\u200dष.txt"),
    ],
)
def test_a_name_is_kept_in_one_spelling_that_misleads_nobody(sent: str, kept: str) -> None:
    assert normalize_source(sent) == kept


@pytest.mark.parametrize("sent", ["", "/", "./", "\u202e", "x" * 1025])
def test_what_is_no_name_is_refused(sent: str) -> None:
    with pytest.raises(RequestError):
        normalize_source(sent)
