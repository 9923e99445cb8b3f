"""HTML: what a browser without scripts shows, as lines. Nothing is fetched, run or followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from selectolax.lexbor import LexborHTMLParser, LexborNode

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading.cleaning import clean
from rag_runtime.loading.decoding import decode
from rag_runtime.loading.layout import Layout
from rag_runtime.loading.parsed import Gathering, Parsed
from rag_runtime.loading.tables import Cell

# https://html.spec.whatwg.org/multipage/tables.html#attributes-common-to-td-and-th-elements
MAX_COLUMNS_OF_A_CELL = 1_000
MAX_ROWS_OF_A_CELL = 65_534

_UNSEEN_NAMES = (
    "applet audio canvas datalist embed head iframe map meter noembed noframes noscript object progress rp script "
    "select style svg template textarea title video"
)
_BLOCK_NAMES = "article aside blockquote dl fieldset figure footer form header hr main nav p section"
_LINE_NAMES = "address body button caption center dd details dialog div dt figcaption legend summary"
# Those that nothing but their own end closes.
_BLOCK_TAG = re.compile(
    r"<(/?)(?:address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figcaption|figure|footer|form"
    r"|header|hgroup|listing|main|menu|nav|ol|pre|search|section|summary|ul)\b",
    re.IGNORECASE,
)
MAX_BLOCKS_DEEP = 5_000
_UNSEEN = frozenset(_UNSEEN_NAMES.split())
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_LINES = frozenset(_LINE_NAMES.split())
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_PREFORMATTED = frozenset({"listing", "plaintext", "pre", "xmp"})
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)"
    r"|(?:opacity|font-size)\s*:\s*0(?:\.0*)?(?:[a-z]{2,4}|%)?\s*(?:[;!]|$))",
    re.IGNORECASE,
)

# Where a browser looks for it: https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream
_DECLARED_WITHIN = 1024
_DECLARED = re.compile(
    rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})|^\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.:-]{1,40})",
    re.IGNORECASE,
)


def parse(data: bytes) -> Parsed:
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    label = (declared.group(1) or declared.group(2)).decode("ascii", "replace") if declared else None
    text, warnings = decode(data, label)
    found = Gathering()
    found.add(to_text(text))
    return found.parsed(warnings=warnings)


def to_text(markup: str) -> str:
    """The title and the text, unless the text begins with the title."""
    _refuse_towers(markup)
    # With scripts, so that the content of <noscript> is not taken for the page's own.
    tree = LexborHTMLParser(markup, scripting=True)
    text = clean(_shown(tree.body)).strip() if tree.body else ""
    title = clean(_title(tree))
    return f"{title}\n{text}".strip() if title and text.partition("\n")[0] != title else text


def _refuse_towers(markup: str) -> None:
    """The parser looks through all blocks that are open at each one it opens: 40,000 take it half a minute."""
    depth = 0
    for match in _BLOCK_TAG.finditer(markup):
        depth = max(depth - 1, 0) if match.group(1) else depth + 1
        if depth > MAX_BLOCKS_DEEP:
            raise DocumentUnreadable(f"its blocks are nested more than {MAX_BLOCKS_DEEP:,} deep")


def _title(tree: LexborHTMLParser) -> str:
    element = tree.css_first("head > title")
    return " ".join((element.text() or "").split()) if element else ""


def _shown(body: LexborNode) -> str:
    """Walks without recursion, for elements may be nested a million deep."""
    page = _Page()
    node, depth = body, 0
    while True:
        child = node.child if page.enter(node) else None
        if child is not None:
            node, depth = child, depth + 1
            continue
        page.leave(node)
        while depth and node.next is None and node.parent is not None:
            node, depth = node.parent, depth - 1
            page.leave(node)
        if not depth or node.next is None:
            return page.text()
        node = node.next


class _Page:
    """Tells a layout of each element's beginning and end."""

    def __init__(self) -> None:
        layout = self._layout = Layout()
        # The number of each open list's last item, None where they have no numbers.
        self._lists: list[int | None] = []
        self._unseen: LexborNode | None = None
        self.text = layout.text
        self._enter: dict[str, Callable[[LexborNode], None]] = {
            **dict.fromkeys(_LINES, lambda _: layout.end_line()),
            **dict.fromkeys(_BLOCKS | _HEADINGS, lambda _: layout.end_block()),
            **dict.fromkeys(_PREFORMATTED, lambda _: layout.open_verbatim()),
            **dict.fromkeys(("td", "th"), lambda _: layout.open_cell()),
            "table": lambda _: layout.open_table(),
            "tr": lambda _: layout.open_row(),
            "br": lambda _: layout.break_line(),
            "img": self._image,
            "li": self._open_item,
            "ol": self._open_list,
            "ul": self._open_list,
        }
        self._leave: dict[str, Callable[[LexborNode], None]] = {
            **dict.fromkeys(_LINES, lambda _: layout.end_line()),
            **dict.fromkeys(_BLOCKS, lambda _: layout.end_block()),
            **dict.fromkeys(_HEADINGS, lambda _: layout.end_heading()),
            **dict.fromkeys(_PREFORMATTED, lambda _: layout.close_verbatim()),
            **dict.fromkeys(("td", "th"), self._close_cell),
            "table": lambda _: layout.close_table(),
            "tr": self._close_row,
            "li": lambda _: layout.close_item(),
            "ol": self._close_list,
            "ul": self._close_list,
        }

    def enter(self, node: LexborNode) -> bool:
        """Whether what is inside it is shown."""
        tag = node.tag or ""
        if tag == "-text":
            self._layout.write(node.text_content or "")
            return False
        if tag in _UNSEEN or tag.startswith(("-", "!")) or _is_hidden(tag, node.attributes):
            self._unseen = node
            return False
        if begin := self._enter.get(tag):
            begin(node)
        return True

    def leave(self, node: LexborNode) -> None:
        if self._unseen is node:
            self._unseen = None
        elif end := self._leave.get(node.tag or ""):
            end(node)

    def _image(self, node: LexborNode) -> None:
        self._layout.write(node.attributes.get("alt") or "")

    def _open_list(self, node: LexborNode) -> None:
        self._layout.end_block() if not self._lists else self._layout.end_line()
        first = _number(node.attributes.get("start"), 1_000_000_000) or 1
        self._lists.append(first - 1 if node.tag == "ol" else None)

    def _close_list(self, _node: LexborNode) -> None:
        self._lists.pop()
        self._layout.end_line() if self._lists else self._layout.end_block()

    def _open_item(self, _node: LexborNode) -> None:
        mark = "- "
        if self._lists and (number := self._lists[-1]) is not None:
            self._lists[-1] = number + 1
            mark = f"{number + 1}. "
        self._layout.open_item(mark, len(self._lists) or 1)

    def _close_cell(self, node: LexborNode) -> None:
        attributes = node.attributes
        columns = _number(attributes.get("colspan"), MAX_COLUMNS_OF_A_CELL)
        rows = _number(attributes.get("rowspan"), MAX_ROWS_OF_A_CELL)
        self._layout.close_cell(Cell(is_name=node.tag == "th", columns=columns or 1, rows=rows or 1))

    def _close_row(self, node: LexborNode) -> None:
        self._layout.close_row(is_header=node.parent is not None and node.parent.tag == "thead")


def _is_hidden(tag: str, attributes: Mapping[str, str | None]) -> bool:
    if tag == "dialog" and "open" not in attributes:
        return True
    return bool(attributes) and ("hidden" in attributes or bool(_HIDING_STYLE.search(attributes.get("style") or "")))


def _number(text: str | None, most: int) -> int:
    """0 where it is no number."""
    digits = (text or "").strip()
    return min(int(digits), most) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0
