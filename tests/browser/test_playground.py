"""The playground as somebody uses it: a real browser, a real service, its real store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.pdfs import pdf
from tests.rag_runtime.commands.processes import Serving, serving

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
QUESTION = "How many minutes before departure does boarding close for vehicles?"
KEY = "playground-key"
CHROMIUM = shutil.which("chromium")
# No request of the browser's own, which a closed network would keep it waiting for.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: `make test` installs it as root")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    keys = {"API_KEY_REQUIRED": "1", "API_KEYS": f"somebody:query+ingest:{KEY}"}
    with serving(tmp_path_factory.mktemp("playground"), **keys) as started:
        started.wait_ready()
        handbook = EXAMPLES / "crew-handbook.pdf"
        sent = httpx.post(
            f"{started.url}/v1/documents?wait=true",
            files={"files": (handbook.name, handbook.read_bytes())},
            headers={"X-API-Key": KEY},
            timeout=60,
        )
        assert sent.json()["status"] == "succeeded"
        yield started


@pytest.fixture
def page(browser: Browser, service: Serving) -> Iterator[Page]:
    """The page, its key entered. What the browser complains of fails the test."""
    context = browser.new_context()
    opened = context.new_page()
    asked, complaints = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(service.url)
    enter_key(opened, KEY)
    expect(opened.get_by_role("dialog")).to_be_hidden()
    yield opened
    context.close()
    assert [url for url in asked if not url.startswith(service.url)] == []
    assert complaints == []


def enter_key(page: Page, key: str) -> None:
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Use it").click()


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Ask your documents").fill(question)
    page.keyboard.press("Enter")


def test_an_answer_cites_the_place_that_it_is_from(page: Page) -> None:
    ask(page)
    expect(page.locator("#answer-text")).to_contain_text("twenty minutes before departure for vehicles")
    source = page.locator("#citations > li")
    expect(source).to_contain_text("crew-handbook.pdf")
    expect(source).to_contain_text("page 2")
    expect(source.locator("mark")).to_contain_text("twenty minutes")
    expect(page.locator("#facts")).to_contain_text("answered as lookup")


def test_it_works_by_keyboard_alone(page: Page) -> None:
    """From the question to the source that a mark of the answer stands for."""
    ask(page)
    expect(page.locator("#rating")).to_be_visible()
    mark = page.get_by_role("link", name="Source 1: crew-handbook.pdf, page 2")
    page.get_by_label("Ask your documents").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        if mark.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#citation-1")).to_be_focused()


def test_what_the_documents_do_not_say_is_said_to_be_so(page: Page) -> None:
    ask(page, "Which enzyme splits lactose?")
    expect(page.locator("#answer-text")).to_have_text("Not found in the documents.")


def test_a_rating_is_kept(page: Page) -> None:
    ask(page)
    page.get_by_role("button", name="Yes").click()
    expect(page.locator("#rating-label")).to_have_text("Thank you.")


def test_documents_are_sent_listed_and_removed(page: Page, tmp_path: Path) -> None:
    files = {"ferry.csv": b"vessel,cars\nNorthern Light,72\n", "<b>bold<b>.pdf": pdf(["The purser keeps the keys."])}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    page.locator("#files").set_input_files([tmp_path / name for name in files])
    expect(page.locator("#uploads li[data-state=stored]")).to_have_count(2)
    ask(page, "Who keeps the keys?")
    expect(page.locator("#citations")).to_contain_text("<b>bold<b>.pdf")
    page.on("dialog", lambda dialog: dialog.accept())
    for name in files:
        page.get_by_role("button", name=f"Remove {name}").click()
        expect(page.get_by_role("button", name=f"Remove {name}")).to_have_count(0)


def test_a_file_that_cannot_be_read_says_why(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nno more")
    page.locator("#files").set_input_files(broken)
    expect(page.locator("#uploads li[data-state=failed]")).to_contain_text("PDF")


def test_a_wrong_key_is_asked_for_again(browser: Browser, service: Serving) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(service.url)
        enter_key(page, "wrong")
        expect(page.get_by_text("The service does not know this key.")).to_be_visible()
        enter_key(page, KEY)
        expect(page.get_by_text("crew-handbook.pdf")).to_be_visible()


def test_a_service_that_went_away_is_said_to_be_away(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as service, browser.new_context() as context:
        service.wait_ready()
        page = context.new_page()
        page.goto(service.url)
        expect(page.locator("#no-documents")).to_have_text("There are none yet.")
        service.end()
        ask(page)
        expect(page.locator("#notice")).to_have_text("The service cannot be reached.")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    ask(page, "What does the handbook say of boarding?")
    expect(page.locator("#rating")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
