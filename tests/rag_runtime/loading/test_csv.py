from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_runtime.domain import Passage, PlaceKind
from rag_runtime.errors import DocumentUnreadable
from rag_runtime.loading import csv
from tests.shared_data import shared


def rows(data: bytes) -> list[tuple[int | None, str]]:
    return [(passage.place, passage.text) for passage in csv.parse(data).passages]


def test_each_row_is_a_line_of_columns_and_values() -> None:
    parsed = csv.parse(b"title,year,notes\nWings,1958,\nFlow,,windy\n")
    assert parsed.place_kind is PlaceKind.ROW
    assert parsed.passages == (Passage("title: Wings; year: 1958", 1), Passage("title: Flow; notes: windy", 2))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    data = delimiter.join(["a", "b", "c"]) + "\n" + delimiter.join(["1,5", "x;y", "z"]) + "\n"
    quoted = data if delimiter not in ",;" else data.replace("1,5", '"1,5"').replace("x;y", '"x;y"')
    assert rows(quoted.encode()) == [(1, "a: 1,5; b: x;y; c: z")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'a,b\n"one\ntwo",3\n', [(1, "a: one two; b: 3")]),
        (b'a,b\n"she said ""no""",3\n', [(1, 'a: she said "no"; b: 3')]),
        (b'a,b\n5" pipe,x\n', [(1, 'a: 5" pipe; b: x')]),
        (b"a,,a\n1,2,3\n", [(1, "a: 1; column 2: 2; a (2): 3")]),
        (b"a,b\n1,2,3\n4\n", [(1, "a: 1; b: 2; column 3: 3"), (2, "a: 4")]),
        (b"\n\na,b\n\n1,2\n\n3,4", [(1, "a: 1; b: 2"), (2, "a: 3; b: 4")]),
        (b"a,b\n,\n1,2\n", [(2, "a: 1; b: 2")]),
        (b"name\nAda\nGrace\n", [(1, "name: Ada"), (2, "name: Grace")]),
        (b"a,b\r\n1,2\r\n", [(1, "a: 1; b: 2")]),
        (b"a,b\n=cmd|'/C calc'!A0,2\n", [(1, "a: =cmd|'/C calc'!A0; b: 2")]),
    ],
    ids=[
        "line break in a cell",
        "doubled quotes",
        "a quote within a cell",
        "columns without a name of their own",
        "ragged rows",
        "blank lines",
        "an empty row counts",
        "one column",
        "line ends of Windows",
        "a formula is text",
    ],
)
def test_odd_files_are_read_with_sense(data: bytes, expected: list[tuple[int, str]]) -> None:
    assert rows(data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'a,b\n1,2\n"open,3\n4,5\n', "line 3 is never closed"),
        (b"a,b\n" + b"x" * (csv.MAX_CELL_CHARACTERS + 1), "line 2 cannot be read"),
        (b"a,b\n1,\x002\n", "byte 6 is zero"),
        (b"a,b\n", "no rows below its header"),
        (b"a,b\n,\n", "no text"),
        (b"\n\n", "no rows"),
    ],
    ids=["open quote", "huge cell", "zero byte", "header alone", "empty cells", "blank"],
)
def test_a_file_that_makes_no_table_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=reason):
        csv.parse(data)


def test_a_hundred_thousand_columns_are_one_bounded_row() -> None:
    header, row = (",".join(f"{sign}{number}" for number in range(100_000)) for sign in "cv")
    ((place, text),) = rows(f"{header}\n{row}\n".encode())
    assert place == 1
    assert text.endswith("c99999: v99999")


def test_more_rows_than_are_read_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "MAX_ROWS", 2)
    with pytest.raises(DocumentUnreadable, match="more than 2 rows"):
        csv.parse(b"a\n1\n2\n3\n")


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parsed = csv.parse(data)
    except DocumentUnreadable:
        return
    assert all(passage.text.strip() and "\n" not in passage.text for passage in parsed.passages)


def test_a_real_file_that_is_not_utf8_is_read_with_a_warning() -> None:
    parsed = csv.parse(shared("csv/biopics.csv").read_bytes())
    assert len(parsed.passages) == 761
    assert parsed.passages[0].text.startswith("title: 10 Rillington Place; site: ")
    assert "Windows-1252" in parsed.warnings[0]
