from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import html
from rag_runtime.loading.guard import Guard, GuardLimits


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<title>Fleet &amp; crew</title><h1>Ships</h1><p>One.", "Fleet & crew\nShips\nOne."),
        ("<title>Ships</title><h1>Ships</h1>One.", "Ships\nOne."),
        ("<p>a <b>b</b>\n c<!-- d --><br>e<p>f", "a b c\ne\n\nf"),
        ("<div>a<div>b</div></div>c", "a\nb\nc"),
        ("<ul><li>a<li>b<ol start=3><li>c<li>d</ol></ul>e", "- a\n- b\n  3. c\n  4. d\n\ne"),
        ("<ul><li></li></ul>a", "a"),
        ("<pre>def f():\n    return 1\n</pre>", "def f():\n    return 1"),
        ("<dl><dt>a<dd>b</dl>", "a\nb"),
        ("x<img src=http://127.0.0.1:1/ alt=' map'>", "x map"),
        ("a&nbsp;&euro;&#x1F600;", "a €😀"),
    ],
    ids=["title", "title again", "inline", "div", "lists", "empty item", "code", "terms", "image", "entities"],
)
def test_blocks_become_lines(markup: str, expected: str) -> None:
    assert html.to_text(markup) == expected


@pytest.mark.parametrize(
    "unseen",
    [
        "<script>x</script>",
        "<style>x</style>",
        "<template>x</template>",
        "<noscript>x</noscript>",
        "<p hidden>x</p>",
        "<p style='color: red; DISPLAY : none'>x</p>",
        "<p style='visibility:hidden'>x</p>",
        "<span style='font-size:0px;color:red'>x</span>",
        "<span style='opacity: 0'>x</span>",
        "<dialog>x</dialog>",
        "<svg><text>x</text></svg>",
        "<iframe>x</iframe>",
        "<select><option>x</select>",
        "<div hidden><table><tr><td>x</td></tr></table><ul><li>x</ul></div>",
        "<!--[if IE]>x<![endif]-->",
        "<?php x ?>",
    ],
)
def test_what_no_reader_sees_is_left_out(unseen: str) -> None:
    assert html.to_text(f"<p>a{unseen}</p>b").split() == ["a", "b"]


def test_what_only_looks_hidden_is_kept() -> None:
    assert html.to_text("<p style='opacity:0.5;font-size:0.9em'>a</p><dialog open>b</dialog>").split() == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><th>a<th>b<tr><td>1<td>2", ["a: 1; b: 2"]),
        ("<thead><tr><td>a<td>b<tbody><tr><td>1<td>", ["a: 1"]),
        ("<tr><td>a<td>b<tr><td>1<td>2", ["a; b", "1; 2"]),
        ("<tr><th>a:<td>1<tr><th>b<td>2", ["a: 1", "b: 2"]),
        ("<caption>c</caption><tr><th>a<th>b<tr><td>1<td>2", ["c", "a: 1; b: 2"]),
        ("<tr><th colspan=2>t<tr><th>a<th>b<tr><td>1<td>2", ["t", "a: 1; b: 2"]),
        ("<tr><th colspan=2>y<tr><th>a<th>b<tr><td>1<td>2", ["y", "a: 1; b: 2"]),
        ("<tr><th>n<th colspan=2>y<tr><th><th>a<th>b<tr><td>1<td>2<td>3", ["n: 1; y a: 2; y b: 3"]),
        ("<tr><th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3", ["a: 1; b: 2", "a: 1; b: 3"]),
        ("<tr><th>a<th>b", ["a; b"]),
        ("<tr><th>a<th>b<tr><td>1<td>2<tr><th>c<th>d<tr><td>3<td>4", ["a: 1; b: 2", "c: 3; d: 4"]),
        ("<tr><th>a<th>b<tr><td><p>1<p>x<td><ul><li>2</ul>", ["a: 1 x; b: - 2"]),
        ("<tr><td>menu<td><p>long<p>text", ["menu", "long", "text"]),
        ("<tr><th>a<th>b<tr><td><table><tr><td>1<td>2</table><td>3", ["a: 1; 2; b: 3"]),
        ("<tr><th>a<th>b<tr><td>1<td>2<td>3", ["a: 1; b: 2; 3"]),
        ("<tr><td colspan=999999999999999999999 rowspan=-1>a<td>b", ["a; b"]),
    ],
)
def test_each_row_is_a_line_with_the_names_of_its_columns(rows: str, expected: list[str]) -> None:
    assert html.to_text(f"<table>{rows}</table>").splitlines() == expected


@pytest.mark.parametrize(
    "data",
    [
        "Größe".encode(),
        "\ufeffGröße".encode(),
        "\ufeff<meta charset=latin-1>Größe".encode("utf-16"),
        b"<meta charset=iso-8859-1>Gr\xf6\xdfe",
        "<meta http-equiv=Content-Type content='text/html; charset=windows-1250'>Größe".encode("cp1250"),
        '<?xml version="1.0" encoding="ISO-8859-15"?><html>Größe</html>'.encode("latin-1"),
        "<meta charset='utf-16'>Größe".encode(),
        b"<meta charset=nonsense>Gr\xc3\xb6\xc3\x9fe",
        b"<meta charset=punycode>Gr\xc3\xb6\xc3\x9fe",
    ],
    ids=["utf-8", "mark", "mark before meta", "meta", "http-equiv", "xml", "meta that lies", "unknown", "no charset"],
)
def test_the_encoding_is_that_of_the_mark_or_declared(data: bytes) -> None:
    assert html.parse(data).passages[0].text == "Größe"


def test_a_byte_that_is_not_of_the_declared_encoding_is_shown_and_warned_of() -> None:
    parsed = html.parse("<meta charset=utf-8>Größe ".encode() + b"\xff")
    assert parsed.passages[0].text == "Größe \N{REPLACEMENT CHARACTER}"
    assert "declared as UTF-8" in parsed.warnings[0]


@pytest.mark.parametrize("data", [b"<p> </p>", b"<script>x</script>", b"\x00\x01", b"<frameset><frame></frameset>"])
def test_a_page_without_text_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        html.parse(data)


HOSTILE = {
    "deep": b"<i>" * 400_000 + b"words",
    "deep blocks": b"<div>" * 4_000 + b"words",
    "deep tables": b"<table><tr><td>" * 50_000 + b"words",
    "deep lists": b"<ul><li>" * 3_000 + b"words",
    "misnested": b"<b><p><i></b>" * 5_000 + b"words",
    "open signs": b"<" * 2_000_000 + b"\n<p>words",
    "one comment": b"words<!--" + b"-" * 5_000_000,
    "entities": b"words &amp" * 200_000,
    "doctype bomb": b'<!DOCTYPE h [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><p>words &b;',
    "wide cells": b"<table>" + b"<tr><td colspan=1000 rowspan=65534>words" * 5_000,
    "header rows": b"<table>" + b"<tr>" + b"<th colspan=1000>words" * 5_000,
    "form feed": b"\x0c<p>words\x00"[:-1],
    "surrogates": b"<p>words &#xD800; &#x110000; &#0;",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_read_in_bounded_time(name: str) -> None:
    began = time.process_time()
    assert "words" in html.parse(HOSTILE[name]).passages[0].text
    assert time.process_time() - began < 10


def test_a_page_that_takes_too_long_is_given_up_by_the_guard() -> None:
    """Each of these is opened anew by the rules of HTML, which look through all that were."""
    guard = Guard(GuardLimits(processor_seconds=1))
    try:
        with pytest.raises(DocumentUnreadable, match="processor time"):
            guard.parse("html", b"".join(b"<b id=%d>" % number for number in range(100_000)) + b"x")
    finally:
        guard.close()


@pytest.mark.parametrize("tag", ["div", "ul><li", "BLOCKQUOTE class=x"])
def test_a_tower_of_blocks_is_refused_at_sight(tag: str) -> None:
    with pytest.raises(DocumentUnreadable, match="nested more than"):
        html.to_text(f"<{tag}>" * 400_000)
    assert html.to_text("<div><p>word</div>" * 20_000).startswith("word")


@given(st.text(alphabet="<>/ abtdrhulipne=\"'!-&;\0", max_size=300) | st.text(max_size=100))
def test_any_text_is_read(markup: str) -> None:
    assert isinstance(html.to_text(markup), str)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(DocumentUnreadable):
        assert html.parse(data).passages
