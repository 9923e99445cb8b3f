from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import markdown


def read(text: str) -> str:
    return "\n---\n".join(passage.text for passage in markdown.parse(text.encode()).passages)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Rules\n\nDogs *stay* **below** [deck](http://x).", "Rules\nDogs stay below deck."),
        ("Rules\n=====\ntext", "Rules\ntext"),
        ("1. one\n2. two\n   - deep\n", "1. one\n2. two\n  - deep"),
        ("- [x] done", "- [x] done"),
        ("| Name | Cars |\n|:--|--:|\n| Light | `120` |\n", "Name: Light; Cars: 120"),
        ("```python\ndef f():\n    return '*a*'\n```", "def f():\n    return '*a*'"),
        ("> said ~~so~~", "said so"),
        ("![a map](map.png)", "a map"),
        (
            "a<br>b <!-- c --><script>d</script>\n\n<details><summary>S</summary>\n\nin **it**\n\n</details>",
            "a\nb\n\nS\n\nin it",
        ),
        ("a < b && c > d", "a < b && c > d"),
        ("snake_case and 2*3*4", "snake_case and 234"),
        ("<http://example.com>", "http://example.com"),
    ],
    ids=["prose", "underlined", "lists", "task", "table", "code", "quote", "image", "html", "signs", "words", "link"],
)
def test_the_marks_are_gone_and_the_text_is_there(text: str, expected: str) -> None:
    assert read(text) == expected


def test_a_front_matter_is_metadata_and_its_title_the_first_line() -> None:
    parsed = markdown.parse(b"---\ntitle: Refunds\ntags: [a, b]\nyear: 2024\n---\n\nWithin 30 days.\n")
    assert [passage.text for passage in parsed.passages] == ["Refunds", "Within 30 days."]
    assert parsed.metadata == {"title": "Refunds", "tags": ["a", "b"], "year": 2024}


def test_a_title_that_the_text_has_is_not_said_twice() -> None:
    assert read("---\ntitle: Refunds\n---\n# Refunds\ntext") == "Refunds\ntext"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nJust a line: above\nand: [below\n---\ntext", "above"),
        ("---\n\ntext\n\n---\nmore", "more"),
        ("---\na: 1\n", "a: 1"),
        ("a: 1\n---\n", "a: 1"),
    ],
    ids=["broken", "lines drawn", "never closed", "not at the top"],
)
def test_what_is_no_front_matter_is_text(text: str, expected: str) -> None:
    parsed = markdown.parse(text.encode())
    assert expected in parsed.passages[0].text
    assert parsed.metadata == {}


def test_other_encodings_are_read_as_in_text() -> None:
    assert markdown.parse("# Größe".encode("utf-16")).passages[0].text == "Größe"
    assert "Windows-1252" in markdown.parse(b"Gr\xf6\xdfe").warnings[0]


@pytest.mark.parametrize("text", ["", "---\na: 1\n---\n", "<!-- x -->", "\0"])
def test_a_file_without_text_is_refused(text: str) -> None:
    with pytest.raises(DocumentUnreadable):
        markdown.parse(text.encode())


@pytest.mark.parametrize(
    "text",
    [">" * 3_000 + " words", "\n".join("  " * depth + "- words" for depth in range(150))],
    ids=["quotes", "lists"],
)
def test_nesting_deeper_than_is_understood_loses_no_text(text: str) -> None:
    parsed = markdown.parse(text.encode())
    assert parsed.passages[0].text.count("words") == text.count("words")
    assert "read as plain text" in parsed.warnings[0]


def test_a_long_file_is_read_as_plain_text_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "MAX_MARKED_CHARACTERS", 10)
    parsed = markdown.parse(b"# heading *of* a text")
    assert parsed.passages[0].text == "# heading *of* a text"
    assert "longer than 10 characters" in parsed.warnings[0]


HOSTILE = {
    "brackets": "[" * 3_000,
    "links": "[a](" * 2_000,
    "emphasis": "*a **a " * 2_000,
    "backticks": "".join("`" * count + "x " for count in range(200)),
    "columns": "|a" * 1_000 + "\n" + "|-" * 1_000 + "\n" + "|x\n" * 100,
    "references": "[a]: b\n" * 2_000 + "text",
    "angles": "<" * 20_000,
    "comments": "<!--" * 2_000 + "\n\ntext",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read(name: str) -> None:
    assert read(f"words\n\n{HOSTILE[name]}").startswith("words")


@given(st.text(alphabet="#*_-`[]()<>!|:\n\t 1.ab\\~>&;", max_size=200) | st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DocumentUnreadable):
        assert markdown.parse(text.encode()).passages
