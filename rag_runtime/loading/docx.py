"""DOCX: paragraphs, headings, lists, tables and notes of the main text, in order. A page is made by whoever prints it.

Only parts that are needed are read, as a stream, and nothing is unpacked to a disk. A document type, of which XML's
bombs and outward references are made, is refused, as the format itself forbids it (ECMA-376, part 2).
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from xml.parsers import expat

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.layout import Layout
from rag_runtime.loading.parsed import Gathering, Parsed
from rag_runtime.loading.tables import Cell

MAX_PART_BYTES = 256 * 1024 * 1024
MAX_NOTE_CHARACTERS = 4_096

_BLOCK_BYTES = 65_536
_OLE_MARK = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_DEFAULT_MAIN = "word/document.xml"
# Deleted or moved away, meant for older readers, or a reading aid.
_UNREAD = frozenset({"Fallback", "del", "instrText", "moveFrom", "rt"})
_OFF = frozenset({"0", "false", "off", "none"})
_MAX_STYLES_DEEP = 12

Attributes = Mapping[str, str]


class _Reader(Protocol):
    """Told of a part's elements, by their names without namespace."""

    def start(self, name: str, attributes: Attributes) -> None: ...

    def end(self, name: str) -> None: ...

    def characters(self, text: str) -> None: ...


def parse(data: bytes) -> Parsed:
    if data.startswith(_OLE_MARK):
        raise DocumentUnreadable(
            "it is encrypted: send it without a password"
            if _OLE_ENCRYPTED in data
            else "it is an old Word file: save it as DOCX"
        )
    with _reading(), zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = _text(archive)
    found = Gathering()
    found.add(clean(text).strip())
    return found.parsed()


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except expat.ExpatError as broken:
        raise DocumentUnreadable(f"it is a broken DOCX: its XML ends in an error ({broken})") from broken
    except RuntimeError as locked:
        # That is how zipfile says that a password is needed, and NotImplementedError is one too.
        raise DocumentUnreadable(f"it is packed in a way that is not read: {locked}") from locked
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, OverflowError) as broken:
        raise DocumentUnreadable(f"it is no DOCX, or a broken one: {broken}") from broken


def _text(archive: zipfile.ZipFile) -> str:
    main = _related(archive, "").get("officeDocument", _DEFAULT_MAIN)
    if main not in archive.NameToInfo:
        raise DocumentUnreadable("it is no DOCX: it has no main text")
    related = _related(archive, main)
    styles, notes = _Styles(), _Notes()
    for kind, reader in (("styles", styles), ("footnotes", notes), ("endnotes", notes)):
        if related.get(kind) in archive.NameToInfo:
            _read(archive, related[kind], reader)
    body = _Body(styles, notes.texts)
    _read(archive, main, body)
    return body.layout.text()


def _related(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """The parts that a part names, by the last word of their kind."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    relations = _Relations(folder)
    if path in archive.NameToInfo:
        _read(archive, path, relations)
    return relations.targets


def _read(archive: zipfile.ZipFile, name: str, reader: _Reader) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = lambda name, attributes: reader.start(name.rpartition(" ")[2], attributes)
    parser.EndElementHandler = lambda name: reader.end(name.rpartition(" ")[2])
    parser.CharacterDataHandler = reader.characters
    size = 0
    with archive.open(name) as part:
        while block := part.read(_BLOCK_BYTES):
            size += len(block)
            if size > MAX_PART_BYTES:
                raise DocumentUnreadable(f"it unpacks to more than {MAX_PART_BYTES // 2**20} MB: split it")
            parser.Parse(block, False)
    parser.Parse(b"", True)


def _refuse_document_type(*_declared: object) -> None:
    raise DocumentUnreadable("its XML declares a document type, which no DOCX has")


def _value(attributes: Attributes, name: str = "val") -> str | None:
    """An attribute in whichever of the two namespaces (transitional and strict) the file uses."""
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == name), None)


def _is_on(attributes: Attributes) -> bool:
    return (_value(attributes) or "1").lower() not in _OFF


class _Relations:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.targets: dict[str, str] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            path = posixpath.join("/", self._folder, attributes.get("Target", ""))
            self.targets.setdefault(kind, posixpath.normpath(path).lstrip("/"))

    def end(self, name: str) -> None: ...

    def characters(self, text: str) -> None: ...


@dataclass(slots=True)
class _Style:
    based_on: str | None = None
    is_heading: bool | None = None
    is_item: bool | None = None


class _Styles:
    """What the paragraphs of each style are; a style goes on from the one that it is based on."""

    def __init__(self) -> None:
        self._styles: dict[str, _Style] = {}
        self._style = _Style()

    def start(self, name: str, attributes: Attributes) -> None:
        value = _value(attributes) or ""
        match name:
            case "style":
                self._style = self._styles.setdefault(_value(attributes, "styleId") or "", _Style())
            case "basedOn":
                self._style.based_on = value
            case "name":
                # Names are in English in every language's files, ids are not.
                self._style.is_heading = value.lower().startswith(("heading ", "title")) or None
            case "outlineLvl":
                self._style.is_heading = value in "012345678"
            case "numId":
                self._style.is_item = value != "0"

    def end(self, name: str) -> None: ...

    def characters(self, text: str) -> None: ...

    def is_heading(self, style: str) -> bool:
        return any(self._first(style, lambda found: found.is_heading))

    def is_item(self, style: str) -> bool:
        return any(self._first(style, lambda found: found.is_item))

    def _first(self, style: str | None, of: Callable[[_Style], bool | None]) -> Iterator[bool]:
        for _ in range(_MAX_STYLES_DEEP):
            found = self._styles.get(style or "")
            if found is None:
                return
            if (said := of(found)) is not None:
                yield said
                return
            style = found.based_on


class _Notes:
    """Foot- and endnotes by their kind and id."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}
        self._body = _Body(_Styles(), {})
        self._key: tuple[str, str] | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        if name in ("footnote", "endnote"):
            self._key = (name, _value(attributes, "id") or "")
            self._body = _Body(_Styles(), {}, root=name)
        if self._key:
            self._body.start(name, attributes)

    def end(self, name: str) -> None:
        if self._key:
            self._body.end(name)
        if self._key and name == self._key[0]:
            text = " ".join(self._body.layout.text().split())
            self.texts[self._key] = text[:MAX_NOTE_CHARACTERS]
            self._key = None

    def characters(self, text: str) -> None:
        if self._key:
            self._body.characters(text)


@dataclass(slots=True)
class _Paragraph:
    style: str = ""
    is_heading: bool | None = None
    is_item: bool | None = None
    has_begun: bool = False


@dataclass(slots=True)
class _TableState:
    has_first_row: bool = False


@dataclass(slots=True)
class _CellState:
    columns: int = 1
    continues: bool = False


@dataclass(slots=True)
class _Open:
    """What is open now, the innermost last: text boxes have paragraphs inside a run, cells have tables."""

    paragraphs: list[_Paragraph] = field(default_factory=list)
    is_run_hidden: list[bool] = field(default_factory=list)
    tables: list[_TableState] = field(default_factory=list)
    is_row_header: list[bool] = field(default_factory=list)
    cells: list[_CellState] = field(default_factory=list)


class _Body:
    def __init__(self, styles: _Styles, notes: dict[tuple[str, str], str], *, root: str = "document") -> None:
        self.layout = Layout()
        self._styles = styles
        self._notes = notes
        self._root: str | None = root
        self._open = _Open()
        self._unread = 0
        self._in_text = False
        self._start: dict[str, Callable[[Attributes], None]] = {
            "p": self._open_paragraph,
            "pStyle": self._set_style,
            "outlineLvl": self._set_outline,
            "numId": self._set_item,
            "r": self._open_run,
            "vanish": self._hide_run,
            "t": self._open_text,
            "tab": lambda _: self._write(" "),
            "noBreakHyphen": lambda _: self._write("-"),
            "br": self._break_line,
            "cr": self._break_line,
            "footnoteReference": lambda attributes: self._note("footnote", attributes),
            "endnoteReference": lambda attributes: self._note("endnote", attributes),
            "tbl": self._open_table,
            "tblLook": self._set_look,
            "tr": self._open_row,
            "tblHeader": self._set_header,
            "tc": self._open_cell,
            "gridSpan": self._set_columns,
            "vMerge": self._set_continues,
        }
        self._end: dict[str, Callable[[], None]] = {
            "p": self._close_paragraph,
            "r": self._close_run,
            "t": self._close_text,
            "tbl": self._close_table,
            "tr": self._close_row,
            "tc": self._close_cell,
        }

    def start(self, name: str, attributes: Attributes) -> None:
        if self._root:
            if name != self._root:
                raise DocumentUnreadable(f"it is no Word document: its main part is a {name[:40]!r}")
            self._root = None
        # A change of format is kept with the format before it.
        if self._unread or name in _UNREAD or name.endswith("Change"):
            self._unread += 1
        elif begin := self._start.get(name):
            begin(attributes)

    def end(self, name: str) -> None:
        if self._unread:
            self._unread -= 1
        elif finish := self._end.get(name):
            finish()

    def characters(self, text: str) -> None:
        if self._in_text and not self._unread:
            self._write(text)

    def _write(self, text: str) -> None:
        """Only in a run: elsewhere, a tab is a place to stop at."""
        hidden = self._open.is_run_hidden
        if hidden and not hidden[-1]:
            self.layout.write(text)

    def _break_line(self, _attributes: Attributes) -> None:
        if self._open.is_run_hidden:
            self.layout.break_line()

    def _note(self, kind: str, attributes: Attributes) -> None:
        """Where it is referred to, and there only once."""
        if text := self._notes.pop((kind, _value(attributes, "id") or ""), ""):
            self._write(f" [{text}] ")

    def _open_paragraph(self, _attributes: Attributes) -> None:
        self.layout.end_line()
        self._open.paragraphs.append(_Paragraph())

    def _set_style(self, attributes: Attributes) -> None:
        if self._open.paragraphs:
            self._open.paragraphs[-1].style = _value(attributes) or ""

    def _set_outline(self, attributes: Attributes) -> None:
        if self._open.paragraphs:
            self._open.paragraphs[-1].is_heading = (_value(attributes) or "9") in "012345678"

    def _set_item(self, attributes: Attributes) -> None:
        if self._open.paragraphs:
            self._open.paragraphs[-1].is_item = _value(attributes) != "0"

    def _begin(self, paragraph: _Paragraph) -> None:
        """With its first run, as all that says what it is comes before."""
        paragraph.has_begun = True
        if paragraph.is_heading is None:
            paragraph.is_heading = self._styles.is_heading(paragraph.style)
        if paragraph.is_item is None:
            paragraph.is_item = self._styles.is_item(paragraph.style)
        if paragraph.is_item and not paragraph.is_heading:
            self.layout.open_item("- ")
        else:
            self.layout.end_block()

    def _close_paragraph(self) -> None:
        if self._open.paragraphs.pop().is_heading:
            self.layout.end_heading()
        else:
            self.layout.close_item()

    def _open_run(self, _attributes: Attributes) -> None:
        if self._open.paragraphs and not self._open.paragraphs[-1].has_begun:
            self._begin(self._open.paragraphs[-1])
        self._open.is_run_hidden.append(False)

    def _hide_run(self, attributes: Attributes) -> None:
        if self._open.is_run_hidden:
            self._open.is_run_hidden[-1] = _is_on(attributes)

    def _close_run(self) -> None:
        self._open.is_run_hidden.pop()

    def _open_text(self, _attributes: Attributes) -> None:
        self._in_text = True

    def _close_text(self) -> None:
        self._in_text = False

    def _open_table(self, _attributes: Attributes) -> None:
        self._open.tables.append(_TableState())
        self.layout.open_table()

    def _set_look(self, attributes: Attributes) -> None:
        """Newer files have a word for each look, older ones a bit."""
        said = _value(attributes, "firstRow") or ""
        bits = _value(attributes) or ""
        has_bit = bits.isalnum() and len(bits) == 4 and bits[2] in "2367abefABEF"
        if self._open.tables:
            self._open.tables[-1].has_first_row = said.lower() in ("1", "true", "on") if said else has_bit

    def _close_table(self) -> None:
        self._open.tables.pop()
        self.layout.close_table()

    def _open_row(self, _attributes: Attributes) -> None:
        self._open.is_row_header.append(False)
        self.layout.open_row()

    def _set_header(self, attributes: Attributes) -> None:
        if self._open.is_row_header:
            self._open.is_row_header[-1] = _is_on(attributes)

    def _close_row(self) -> None:
        is_likely = bool(self._open.tables) and self._open.tables[-1].has_first_row
        self.layout.close_row(is_header=self._open.is_row_header.pop(), is_likely_header=is_likely)

    def _open_cell(self, _attributes: Attributes) -> None:
        self._open.cells.append(_CellState())
        self.layout.open_cell()

    def _set_columns(self, attributes: Attributes) -> None:
        columns = _value(attributes) or ""
        if self._open.cells and columns.isascii() and columns.isdigit() and len(columns) < 4:
            self._open.cells[-1].columns = max(int(columns), 1)

    def _set_continues(self, attributes: Attributes) -> None:
        if self._open.cells:
            self._open.cells[-1].continues = _value(attributes) != "restart"

    def _close_cell(self) -> None:
        cell = self._open.cells.pop()
        self.layout.close_cell(Cell(columns=cell.columns, continues=cell.continues))
