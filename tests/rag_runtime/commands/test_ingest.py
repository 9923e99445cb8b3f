"""Which files a command line means, what they are called, and what is said about them."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from rag_runtime.commands.ingest import LocalFile, _send_all, find_files
from rag_runtime.errors import RequestError, Unavailable
from tests.rag_runtime.commands.processes import run, serving


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("docs/a.txt", "docs/deep/b.csv", "docs/.hidden/c.txt", "docs/.d.txt", "other/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        (["docs"], ["docs/a.txt", "docs/deep/b.csv"]),
        (["docs/"], ["docs/a.txt", "docs/deep/b.csv"]),
        (["docs/a.txt"], ["docs/a.txt"]),
        (["docs/**/*.csv"], ["docs/deep/b.csv"]),
        (["./docs/a.txt", "docs/a.txt"], ["docs/a.txt"]),
        (["docs/a.txt", "other/a.txt"], ["docs/a.txt", "other/a.txt"]),
    ],
)
def test_sources_are_relative_paths(folder: Path, given: list[str], sources: list[str]) -> None:
    assert [file.source for file in find_files(given)] == sources


def test_a_path_from_elsewhere_says_nothing_of_this_machine(folder: Path) -> None:
    assert [file.source for file in find_files([str(folder / "docs")])] == ["docs/a.txt", "docs/deep/b.csv"]
    assert [file.source for file in find_files([str(folder / "other/a.txt")])] == ["a.txt"]


def test_two_files_of_one_name_are_not_mixed_up(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"both be 'a\.txt'"):
        find_files([str(folder / "docs/a.txt"), str(folder / "other/a.txt")])


def test_what_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(RequestError, match="nowhere does not exist"):
        find_files(["nowhere"])


def test_files_are_sent_and_a_bad_one_fails_alone_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("Dogs stay below deck.")
    (tmp_path / "bad.exe").write_bytes(b"MZ")
    with serving(tmp_path / "service", API_KEY_REQUIRED="1", API_KEYS="sesame") as service:
        service.wait_ready()
        files = [str(tmp_path / "good.txt"), str(tmp_path / "bad.exe")]
        sent = run("ingest", *files, "--url", service.url, "--api-key", "sesame")
        without = run("ingest", files[0], "--url", service.url)
        by_environment = run("ingest", files[0], "--url", service.url, RAG_API_KEY="sesame")
    assert sent.returncode == 1
    assert "stored" in sent.stdout
    assert "failed" in sent.stdout
    assert (without.returncode, "RAG_API_KEY" in without.stderr) == (1, True)
    assert (by_environment.returncode, "unchanged" in by_environment.stdout) == (0, True)


def test_a_service_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    ended = run("ingest", str(tmp_path / "a.txt"), "--url", "http://127.0.0.1:9")
    assert ended.returncode == 1
    assert "http://127.0.0.1:9 cannot be reached" in ended.stderr


def test_a_pipe_is_refused_instead_of_waited_for(folder: Path) -> None:
    os.mkfifo("pipe")
    with pytest.raises(RequestError, match="pipe is neither a file nor a folder"):
        find_files(["pipe"])


def test_a_file_that_is_gone_when_it_is_its_turn_fails_alone(tmp_path: Path) -> None:
    here, gone = LocalFile(tmp_path / "here.txt", "here.txt"), LocalFile(tmp_path / "gone.txt", "gone.txt")
    here.path.write_text("Dogs stay below deck.")
    jobs = {"files": [{"source": "here.txt", "status": "stored", "chunks": 1, "error": None}], "status": "succeeded"}
    service = httpx.MockTransport(lambda asked: httpx.Response(200, json=jobs | {"job_id": "j"}))
    with httpx.Client(base_url="http://service", transport=service) as client:
        outcomes = _send_all(client, [here, gone], Console(stderr=True))
    assert [(outcome.source, outcome.status) for outcome in outcomes] == [
        ("here.txt", "stored"),
        ("gone.txt", "failed"),
    ]
    assert "cannot be read: No such file" in outcomes[1].error


def test_a_page_of_something_else_is_no_service(tmp_path: Path) -> None:
    page = httpx.MockTransport(lambda asked: httpx.Response(200, text="<html>Sign in</html>"))
    (tmp_path / "a.txt").write_text("x")
    with (
        httpx.Client(base_url="http://proxy", transport=page) as client,
        pytest.raises(Unavailable, match="answers unlike a ragops runtime"),
    ):
        _send_all(client, [LocalFile(tmp_path / "a.txt", "a.txt")], Console(stderr=True))
