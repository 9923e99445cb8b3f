from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from rag_runtime.errors import DocumentUnreadable, Overloaded
from rag_runtime.loading import FORMATS, parse_here
from rag_runtime.loading.guard import Guard, GuardLimits
from tests.docxs import docx, paragraph
from tests.pdfs import pdf, pdf_of_streams

CSV = b"a,b\n1,2\n"


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard()
    yield made
    made.close()


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("csv", b"a,b\n1,\xdf\n"),
        ("docx", docx(paragraph("words"))),
        ("html", b"<p>words"),
        ("markdown", b"---\ntags: [a, b]\nyear: 1958\n---\n*words*"),
        ("pdf", pdf(["Größe"])),
        ("text", b"words"),
    ],
)
def test_a_child_reads_the_same_as_we_do(guard: Guard, name: str, data: bytes) -> None:
    assert name in FORMATS
    assert guard.parse(name, data) == parse_here(name, data)


def test_a_child_is_kept_for_the_next_file_and_ended_with_the_guard(guard: Guard) -> None:
    before = children()
    guard.parse("csv", CSV)
    first = children() - before
    guard.parse("csv", CSV)
    assert len(first) == 1
    assert children() - before == first
    guard.close()
    assert children() - before == set()


def test_files_are_read_beside_each_other(guard: Guard) -> None:
    with ThreadPoolExecutor(3) as threads:
        parsed = list(threads.map(lambda number: guard.parse("csv", b"a,b\n%d,2\n" % number), range(12)))
    assert [each.passages[0].text for each in parsed] == [f"a: {number}; b: 2" for number in range(12)]


def test_what_the_parser_says_of_a_file_is_passed_on(guard: Guard) -> None:
    with pytest.raises(DocumentUnreadable, match="encrypted"):
        guard.parse("pdf", pdf(["x"], encrypted=True))
    assert guard.parse("csv", CSV).passages[0].text == "a: 1; b: 2"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (GuardLimits(processor_seconds=1), "1 s of processor time"),
        (GuardLimits(wall_seconds=1.0), "more than 1 s"),
        (GuardLimits(memory_mb=64), "memory|broke down"),
    ],
    ids=["processor", "wall clock", "memory"],
)
def test_a_file_that_takes_too_much_is_given_up(limits: GuardLimits, reason: str) -> None:
    guard = Guard(limits)
    began = time.perf_counter()
    try:
        with pytest.raises(DocumentUnreadable, match=reason):
            guard.parse("csv", b"a,b\n" + b"1,2\n" * 990_000 * 3)
    finally:
        guard.close()
    assert time.perf_counter() - began < 20


def test_a_docx_that_unpacks_to_gigabytes_costs_no_more_than_its_limits() -> None:
    bomb = docx("", {"word/document.xml": b"<document>" + b"<p>" * 30_000_000})
    guard = Guard(GuardLimits(memory_mb=256, processor_seconds=20))
    try:
        with pytest.raises(DocumentUnreadable):
            guard.parse("docx", bomb)
    finally:
        guard.close()


def test_a_page_that_unpacks_to_gigabytes_costs_no_more_than_its_limits() -> None:
    bomb = pdf_of_streams([b"(x) Tj " * 60_000_000])
    guard = Guard(GuardLimits(memory_mb=256, wall_seconds=20.0))
    try:
        with pytest.raises(DocumentUnreadable):
            guard.parse("pdf", bomb)
    finally:
        guard.close()


def test_a_child_that_died_is_replaced(guard: Guard) -> None:
    before = children()
    guard.parse("csv", CSV)
    (pid,) = children() - before
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert guard.parse("csv", CSV).passages


def test_a_file_whose_child_is_killed_by_others_is_read_again(guard: Guard) -> None:
    before = children()
    rows = b"a,b\n" + b"1,2\n" * 300_000
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(guard.parse, "csv", rows)
        while not (started := children() - before):
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(started.pop(), 9)
        assert len(reading.result().passages) == 300_000


def test_a_child_that_is_killed_again_is_said_so(guard: Guard) -> None:
    before = children()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(guard.parse, "csv", b"a,b\n" + b"1,2\n" * 900_000)
        while not reading.done():
            for pid in children() - before:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            time.sleep(0.05)
    with pytest.raises(DocumentUnreadable, match="killed twice"):
        reading.result()


def test_a_file_that_is_read_when_the_guard_is_closed_is_given_up_at_once() -> None:
    guard, before = Guard(), children()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(guard.parse, "csv", b"a,b\n" + b"1,2\n" * 990_000 * 3)
        while not children() - before:
            time.sleep(0.01)
        time.sleep(0.3)
        guard.close()
        with pytest.raises(Overloaded, match="stopping"):
            reading.result(timeout=2)
    assert children() - before == set()


def test_a_child_ends_soon_after_its_parent_even_in_the_middle_of_a_file() -> None:
    code = "from rag_runtime.loading.guard import Guard\nGuard().parse('csv', b'a,b\\n' + b'1,2\\n' * 990_000 * 3)\n"
    with subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": os.pathsep.join(sys.path)}) as parent:
        listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (child := listed.read_text().split()):
            time.sleep(0.01)
        time.sleep(0.5)
        parent.kill()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child[0]}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_system_ends_a_child_before_the_service_where_memory_runs_out(guard: Guard) -> None:
    before = children()
    guard.parse("csv", CSV)
    (pid,) = children() - before
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"


def test_a_child_sees_nothing_of_our_environment(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    before = children()
    guard.parse("csv", CSV)
    (pid,) = children() - before
    assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
