"""The page in real headless Chromium: type, see the tree, click, fold, take away, go wrong, in light and dark."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint import app_of, live

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make install-dev")
expect = playwright.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)
LONG = " ".join(["the cat that sees a dog sleeps and"] * 6)
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Containers lack what Chromium's sandbox needs; the page is our own.
    settings = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
    with playwright.sync_playwright() as run, run.chromium.launch(**settings) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live(app_of("constituency", hosts=["127.0.0.1"])) as address:
        yield address


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page, opened; it must have asked nobody but the endpoint, and have had no error."""
    with opened(browser, url) as page:
        yield page


class opened:  # noqa: N801  (reads as a verb where it is used)
    """A page in a context of its own; at the end, no error and no request elsewhere."""

    def __init__(self, browser: Any, url: str, **settings: Any) -> None:
        self.context, self.url = browser.new_context(**settings), url
        self.errors: list[str] = []
        self.asked: list[str] = []

    def __enter__(self) -> Any:
        page = self.context.new_page()
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if "Policy" in said.text else None)
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.url)
        return page

    def __exit__(self, *error: object) -> None:
        self.context.close()
        assert self.errors == []
        assert [url for url in self.asked if not url.startswith((self.url, "data:", "blob:"))] == []


def parse(page: Any, text: str) -> None:
    page.get_by_label("A sentence").fill(text)
    page.get_by_role("button", name="Parse").click()
    expect(page.locator("#drawing svg")).to_be_visible()


def words(page: Any) -> list[str]:
    found: list[str] = page.locator("#drawing .word").all_text_contents()
    return found


def test_type_a_sentence_and_see_its_tree(page: Any) -> None:
    parse(page, "the cat sleeps")
    assert words(page) == ["the", "cat", "sleeps"]
    assert page.locator("#drawing .node").count() == 3
    expect(page.locator("#output")).to_have_text("(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))")


def test_a_click_folds_a_constituent_and_another_unfolds_it(page: Any) -> None:
    parse(page, "the cat sleeps")
    noun_phrase = page.get_by_role("button", name="NP: the cat")
    noun_phrase.click()
    assert words(page) == ["sleeps"]
    expect(page.locator(".folded")).to_have_text("the cat")
    assert page.locator(".folded").evaluate("text => getComputedStyle(text).fontStyle") == "italic"
    page.get_by_role("button", name="Expand all").click()
    assert words(page) == ["the", "cat", "sleeps"]


def test_the_span_shows_under_the_pointer(page: Any) -> None:
    parse(page, "the cat sleeps")
    page.get_by_role("button", name="NP: the cat").hover()
    expect(page.locator("#about")).to_have_text("NP · tokens 0 to 1, characters 0 to 7 · the cat")
    assert page.locator("#tokens .on").all_text_contents() == ["the", "cat"]
    page.get_by_role("button", name="Copy brackets").hover()
    expect(page.locator("#about")).to_have_text("Point at a constituent to see its span; click it to fold it.")


def test_it_works_by_keyboard_alone(page: Any) -> None:
    page.keyboard.type("the cat sleeps")
    page.keyboard.press("Control+Enter")
    root = page.get_by_role("button", name="S: the cat sleeps")
    root.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#about")).to_contain_text("VP · token 2")
    page.keyboard.press("Enter")
    assert words(page) == ["the", "cat"]
    page.keyboard.press("ArrowUp")
    expect(page.locator("#about")).to_contain_text("S · tokens 0 to 2")


def test_an_example_is_one_click(page: Any) -> None:
    page.locator("#examples button").first.click()
    expect(page.locator("#drawing svg")).to_be_visible()
    assert len(words(page)) == 12


def test_a_long_sentence_is_drawn_readably(page: Any) -> None:
    """More than 40 words: the root moves to the left, every word has a line, none lies upon another."""
    parse(page, LONG)
    boxes = [box.bounding_box() for box in page.locator("#drawing .word").all()]
    assert len(boxes) == 48
    assert all(box["height"] > 10 for box in boxes)
    tops = sorted(box["y"] for box in boxes)
    assert all(after - before > 15 for before, after in pairwise(tops))
    assert max(box["x"] + box["width"] for box in boxes) < page.viewport_size["width"]
    page.get_by_role("button", name="Root on top").click()
    assert len({round(box.bounding_box()["y"]) for box in page.locator("#drawing .word").all()}) == 1


def test_brackets_and_drawing_can_be_taken_away(browser: Any, url: str, tmp_path: Path) -> None:
    with opened(browser, url, permissions=["clipboard-read", "clipboard-write"]) as page:
        parse(page, "the cat sleeps")
        page.get_by_role("button", name="Copy brackets").click()
        expect(page.locator("#copy")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#output").inner_text()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download SVG").click()
        saved = tmp_path / "tree.svg"
        download.value.save_as(saved)
    drawing = saved.read_text()
    assert drawing.startswith("<svg")
    assert "sleeps</text>" in drawing
    assert "var(" not in drawing


def test_the_same_from_a_shell(page: Any) -> None:
    page.get_by_text("From your own code").click()
    expect(page.locator("#curl")).to_contain_text("""-d '{"text":"The cat that I saw""")
    parse(page, "the cat's dog")
    expect(page.locator("#curl")).to_contain_text("""-d '{"text":"the cat'\\''s dog"}'""")


def test_errors_are_said_in_words(page: Any) -> None:
    alert = page.get_by_role("alert")
    page.get_by_role("button", name="Parse").click()
    expect(alert).to_have_text("Write something first, or choose an example.")
    page.get_by_label("A sentence").fill("word " * 300)
    page.get_by_role("button", name="Parse").click()
    expect(alert).to_have_text("The text: 300 tokens are more than 256.")
    page.route("**/v1/parse", lambda route: route.abort())
    page.get_by_label("A sentence").fill("the cat")
    page.get_by_role("button", name="Parse").click()
    expect(alert).to_have_text("The endpoint can't be reached. Is it still running?")


def test_text_is_never_markup(page: Any) -> None:
    parse(page, "<img/src=x/onerror=alert(1)> <b>cat</b>")
    assert "".join(words(page)) == "<img/src=x/onerror=alert(1)><b>cat</b>"
    assert page.locator("#result img, #result b").count() == 0


def test_dark_where_the_system_is_and_by_a_click(browser: Any, url: str) -> None:
    shade = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, url, color_scheme="dark") as page:
        assert page.evaluate(shade) == "rgb(20, 23, 27)"
        page.get_by_role("button", name="Switch between light and dark").click()
        assert page.evaluate(shade) == "rgb(247, 247, 245)"
        page.reload()
        assert page.evaluate(shade) == "rgb(247, 247, 245)"


def test_a_token_is_asked_for(browser: Any) -> None:
    with live(app_of(token="s3cret")) as address, opened(browser, address) as page:
        page.get_by_label("This endpoint wants a token").fill("s3cret")
        page.keyboard.press("Enter")
        parse(page, "the cat sleeps")
        assert page.locator("#asks").is_hidden()
        page.get_by_text("From your own code").click()
        expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $MCKD_SERVE_TOKEN"')
        assert "s3cret" not in page.content()


def test_slots_are_coloured(browser: Any) -> None:
    with live(app_of("semantic")) as address, opened(browser, address) as page:
        page.get_by_label("An utterance").fill("play jazz now")
        page.get_by_role("button", name="Annotate").click()
        expect(page.locator(".intent")).to_have_text("play")
        expect(page.locator(".slot")).to_have_text("jazzgenre")
        assert json.loads(page.evaluate("JSON.stringify(answer.slots[0].start_char)")) == 5
