"""The report as a file: complete, on its own, escaped, and honest about what is missing."""

import json
import re
import shutil
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.cli import main
from mckd_ray.errors import DataError
from mckd_ray.plan.steps import Step
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.report.analysis import errors, systems
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.page.render import plain, render, write_report
from mckd_ray.runner.run import PLAN
from tests.small_run import no_answer, small_run

LARGEST = 3_000_000
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "rect"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MARKUP = '<script>alert("x")</script> & </style> <b>{{ 7 * 6 }}</b> | `*_'


class Page(HTMLParser):
    """A page taken apart: its text, tags, ids and everything that a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.ids, self.fetched, self.anchors = "", [], [], [], []  # type: ignore[var-annotated]
        self._open: list[str] = []
        self.feed(html)
        assert self._open == [], "all tags are closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open += [] if tag in VOID else [tag]
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "data", "poster"):
                (self.anchors if (value or "").startswith("#") else self.fetched).append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def html(finished: Path) -> str:
    assert main(["report", str(finished)]) == 0
    return (finished / "report.html").read_text()


def test_the_report_has_all_its_parts(finished: Path, html: str) -> None:
    page, markdown = Page(html), (finished / "report.md").read_text()
    for part in (
        "Systems",
        "Score by stage",
        "Quality of the pool's labels",
        "Where students correct the teacher",
        "Clean and noisy pseudolabels",
        "Score by length",
        "Confidence",
        "Learning curves",
        "Examples side by side",
        "Errors by kind",
        "Time, tokens, money",
        "The plan",
        "To repeat it",
    ):
        assert part in page.text
        assert part in markdown
    examples = html.count('class="example"')
    assert examples > 6, "gains and losses"
    assert page.tags.count("svg") == 7 + 1 + 1 + 4 * examples, "plots, timeline, plan, and four trees an example"
    result = json.loads((finished / "result.json").read_text())
    for name, system in result["systems"].items():
        found = system["unlabelled_f1"]
        spread = f" ± {found['spread']:.1f}" if len(found["values"]) > 1 else ""
        score = f"{found['mean']:.1f}{spread}"
        assert score in page.text
        assert f"| {name} | {score} | " in markdown
    assert "```mermaid" in markdown
    assert all(step["digest"] in page.text for step in result["steps"])


def test_the_file_stands_on_its_own(html: str) -> None:
    page = Page(html)
    assert page.fetched == ["data:,"]
    assert "script" not in page.tags
    assert not re.search(r"url\((?!#)|@import|https?:", html)
    assert len(html.encode()) < LARGEST
    assert {anchor[1:] for anchor in page.anchors} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def odd_run(root: Path) -> Path:
    """A run of the text task, whose inputs, gold and answers are full of markup."""
    corpus = root / "corpus"
    corpus.mkdir()
    for split, rows in (("train", 30), ("dev", 3), ("test", 12)):
        lines = [
            {"id": f"{split}-{MARKUP}-{n}", "text": f"{MARKUP} {n}", "target": f"{MARKUP} {n} <i>"} for n in range(rows)
        ]
        (corpus / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
        target = gold[example.id].replace("<i>", "<u>") if "teacher" in step.name else gold[example.id]
        return Label(example.id, target, target, Outcome.OK)

    source = {"format": "jsonl", "path": str(corpus), "pool": None, "dev": None, "test": None, "labelled": 5}
    return small_run(
        root,
        {
            "task": {"kind": "text"},
            "corpus": source,
            "teacher": {"engine": "student", "shots": 5},
            "student": {"kind": "seq2seq", "linearisation": "plain"},
            "plan": {"stages": 2, "systems": ["teacher", "kd", "mckd"], "seeds": [1]},
        },
        answer,
    )


def test_texts_with_markup_in_them_are_text(tmp_path: Path) -> None:
    html, markdown = render([Run(odd_run(tmp_path))])
    page = Page(html)
    assert "script" not in page.tags
    assert {"b", "i", "u"} & set(page.tags) <= {"b"}
    assert '<script>alert("x")</script>' in page.text
    assert "{{ 7 * 6 }}" in page.text
    outside = re.sub(r"~~~yaml.*?~~~|```mermaid.*?```", "", markdown, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<(script|style|/style|b|i|u)\b", outside)
    assert "No answer came with a confidence." in page.text


def test_plain_text_in_markdown() -> None:
    assert plain("a|b\n*c* <d> [e](f) $g$") == r"a\|b \*c\* \<d\> \[e\](f) \$g\$"


def test_an_unfinished_run_says_what_is_missing(tmp_path: Path) -> None:
    folder = small_run(tmp_path, unfinished=lambda step: step.name.startswith("train mckd-3"))
    text = Page(render([Run(folder)])[0]).text
    assert "The run is not finished: 6 of " in text
    assert "Without a score so far: mckd-3." in text
    assert "mckd-2, the best of the method's own stages" in text or "mckd-2 is best: " in text


def test_a_run_that_has_not_begun_has_a_report_too(tmp_path: Path) -> None:
    html, _ = render([Run(small_run(tmp_path, unfinished=lambda step: True))])
    assert "No system has a score yet." in Page(html).text


def test_without_gold_of_the_pool(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split, rows in (("train", 40), ("dev", 3), ("test", 12)):
        lines = []
        for number in range(rows):
            gold = {"target": f"say {number}"} if split != "train" or number < 5 else {}
            lines.append({"id": f"{split}-{number}", "text": f"{split} {number}", **gold})
        (corpus / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
        return Label(example.id, "say", "say", Outcome.OK)

    source = {"format": "jsonl", "path": str(corpus), "pool": None, "dev": None, "test": None, "labelled": 5}
    changes: dict[str, Any] = {
        "task": {"kind": "text"},
        "corpus": source,
        "teacher": {"engine": "student", "shots": 5},
        "student": {"kind": "seq2seq", "linearisation": "plain"},
        "plan": {"stages": 2, "systems": ["teacher", "kd", "mckd"], "seeds": [1]},
    }
    text = Page(render([Run(small_run(tmp_path, changes, answer))])[0]).text
    assert "The pool has no gold; what needs it is left out" in text
    assert "so the quality of its labels cannot be measured" in text
    assert "None." in text, "all answers are alike, so there are neither gains nor losses"


def test_one_system_without_a_usable_answer(tmp_path: Path) -> None:
    changes = {"plan": {"stages": 1, "systems": ["teacher"], "seeds": [1]}}
    text = Page(render([Run(small_run(tmp_path, changes, no_answer))])[0]).text
    assert "There is one system only" in text
    assert "No answer of teacher was usable" in text
    assert "teacher: 0.0%" in text
    assert "Two systems are needed" in text


def test_what_is_sampled_says_so(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "MOST_PAIRED", 20)
    monkeypatch.setattr(errors, "MOST_READ", 10)
    text = Page(render([Run(finished)])[0]).text
    assert "on a sample of 20 of 30 inputs" in text
    assert re.search(r"on 10\s+\(a sample\) of 30\s+inputs", text)


@pytest.mark.slow
def test_of_a_hundred_thousand_inputs_samples_are_looked_at(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split, rows in (("train", 60), ("test", 100_000)):
        lines = []
        for number in range(rows):
            tokens = [f"{split}{number}", *["w"] * (number % 7), "end"]
            inner = " ".join(f"(N {token})" for token in tokens[1:])
            tree = f"(S (NP (N {tokens[0]})) (VP {inner}))"
            lines.append(json.dumps({"id": f"{split}-{number}", "tokens": tokens, "tree": tree}) + "\n")
        (corpus / f"{split}.jsonl").write_text("".join(lines))

    def answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
        right = int(example.id.rpartition("-")[2]) % 10 >= (5 if "teacher" in step.name else 3)
        flat = "(S " + " ".join(f"(N {token})" for token in example.tokens) + ")"
        target = gold[example.id] if right else flat
        return Label(example.id, target, target, Outcome.OK, -0.1)

    source = {"format": "jsonl", "path": str(corpus), "pool": None, "dev": 0, "test": None, "labelled": 10}
    plan = {"stages": 1, "systems": ["teacher", "kd"], "seeds": [1]}
    html, markdown = render([Run(small_run(tmp_path, {"corpus": source, "plan": plan}, answer))])
    text = Page(html).text
    assert "on a sample of 20,000 of 100,000 inputs" in text
    assert re.search(r"on 2,000\s+\(a sample\) of 100,000\s+inputs", text)
    assert len(html.encode()) < LARGEST
    assert len(markdown.encode()) < LARGEST


def test_two_runs_in_one_file(finished: Path, tmp_path: Path) -> None:
    semantic = small_run(tmp_path, {"task": {"kind": "semantic"}, "plan": {"seeds": [1]}}, name="slots")
    html, markdown = write_report([Run(finished), Run(semantic)], tmp_path / "out")
    page = Page(html.read_text())
    assert len(page.ids) == len(set(page.ids))
    assert "2 runs" in page.text
    assert "Intents of mckd-" in page.text
    assert "# slots" in markdown.read_text()


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_that_is_no_run_is_one_sentence(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", folder]) == 2
    assert capsys.readouterr().err.endswith(
        "is not the folder of a run; give one such as runs/demo, which `mckd run` makes.\n"
    )


def test_a_run_of_an_older_version_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text(json.dumps({"store": str(tmp_path), "steps": []}))
    with pytest.raises(DataError, match=r"older version of mckd\. Run `mckd run"):
        Run(tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_opens_it_without_a_request_or_a_complaint(finished: Path, html: str, scheme: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    requests: list[str] = []
    said: list[str] = []
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 900})
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((finished / "report.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach((folded) => (folded.open = true))")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        printed = page.pdf()
        page.emulate_media(media="print", color_scheme=scheme)
        page.set_viewport_size({"width": 718, "height": 1000})  # What A4 leaves between its margins.
        clipped = "[...document.querySelectorAll('.wide')].filter((one) => one.scrollWidth > one.clientWidth).length"
        cut = page.evaluate(clipped)
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert requests == [(finished / "report.html").as_uri()]
    assert said == []
    assert background == {"light": "rgb(255, 255, 254)", "dark": "rgb(19, 22, 29)"}[scheme]
    assert wide == 0, "nothing is wider than the window"
    assert printed.startswith(b"%PDF")
    assert (cut, paper) == (0, "rgb(255, 255, 254)"), "on paper nothing is cut off, nor dark"
