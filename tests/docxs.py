"""DOCX files: packages written by hand, for what no editor would write."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def docx(body: str, parts: Mapping[str, str | bytes] | None = None, *, prolog: str = "") -> bytes:
    """A package whose main text has this body; `parts` are added, or stand in the place of those of that name."""
    main = f'{prolog}<w:document xmlns:w="{NAMESPACE}"><w:body>{body}</w:body></w:document>'
    return packed(
        {
            "_rels/.rels": relations(officeDocument="word/document.xml"),
            "word/document.xml": main,
            "word/_rels/document.xml.rels": relations(styles="styles.xml", footnotes="footnotes.xml"),
            **(parts or {}),
        }
    )


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def relations(**targets: str) -> str:
    found = "".join(f'<Relationship Type="{_RELATIONS}/{kind}" Target="{path}"/>' for kind, path in targets.items())
    return f'<Relationships xmlns="{_PACKAGE}">{found}</Relationships>'


def styles(content: str) -> str:
    return f'<w:styles xmlns:w="{NAMESPACE}">{content}</w:styles>'


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: list[str], properties: str = "", header: str = "") -> str:
    """`header` are the properties of the first row."""
    lines = [
        f"<w:tr><w:trPr>{'' if number else header}</w:trPr>"
        + "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row)
        + "</w:tr>"
        for number, row in enumerate(rows)
    ]
    return f"<w:tbl><w:tblPr>{properties}</w:tblPr>{''.join(lines)}</w:tbl>"
