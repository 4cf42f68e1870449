"""Teachers that label by themselves: replayed and simulated ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mckd_ray.config import TeacherConfig
from mckd_ray.errors import ConfigError, DataError, ModelError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Task
from mckd_ray.teacher import make_labeller
from mckd_ray.teacher.replay import ReplayTeacher

TREE = TASKS["constituency"]
FRAME = TASKS["semantic"]
TEXT = TASKS["text"]
CAT = Example("cat", ("the", "cat", "sleeps"))
CAT_TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"


def simulated(task: Task, gold: dict[str, str], **settings: Any) -> Labeller:
    return make_labeller(TeacherConfig(engine="simulated", **settings), task, gold=gold)


def read_corpus(folder: Path, task: Task, count: int, split: str = "dev") -> tuple[list[Example], dict[str, str]]:
    with (folder / f"{split}.jsonl").open(encoding="utf-8") as lines:
        rows = [task.read(json.loads(line)) for line, _ in zip(lines, range(count), strict=False)]
    return [example for example, _ in rows], {example.id: str(target) for example, target in rows}


def score(task: Task, gold: dict[str, str], examples: list[Example], labels: list[Label]) -> float:
    total: dict[str, float] = {}
    for example, label in zip(examples, labels, strict=True):
        for name, value in task.counts(gold[example.id], label.target, example).items():
            total[name] = total.get(name, 0) + value
    return task.scores(total)[task.primary]


def make_words(count: int) -> tuple[list[Example], dict[str, str]]:
    gold = {f"t{index}": " ".join(f"w{(index * 7 + at * at) % 50}" for at in range(8)) for index in range(count)}
    return [Example(name, text="x") for name in gold], gold


def corpora(data: Path) -> list[tuple[Task, list[Example], dict[str, str]]]:
    return [
        (TREE, *read_corpus(data / "ptb", TREE, 150)),
        (FRAME, *read_corpus(data / "atis", FRAME, 300)),
        (FRAME, *read_corpus(data / "snips", FRAME, 300)),
        (TEXT, *make_words(100)),
    ]


def test_a_simulated_teacher_without_noise_gives_gold_back() -> None:
    (label,) = simulated(TREE, {"cat": CAT_TREE}, noise=0).label([CAT])
    assert (label.target, label.outcome) == (CAT_TREE, Outcome.OK)


@pytest.mark.parametrize("systematic", [0.0, 0.5, 1.0])
def test_more_noise_is_a_worse_simulated_teacher(data: Path, systematic: float) -> None:
    for task, examples, gold in corpora(data):
        scores = []
        for noise in (0.0, 0.1, 0.3, 0.6, 1.0):
            labels = simulated(task, gold, noise=noise, systematic=systematic).label(examples)
            assert all(
                task.check(label.target, one) == label.target for label, one in zip(labels, examples, strict=True)
            )
            scores.append(score(task, gold, examples, labels))
        assert scores[0] == pytest.approx(100)
        assert scores == sorted(scores, reverse=True)
        assert scores[1] < 99.9
        assert scores[-1] < 45


@pytest.mark.parametrize("systematic", [0.0, 1.0])
def test_the_noise_is_near_its_rate(data: Path, systematic: float) -> None:
    """Slots and intents that differ from gold: each is one part."""
    examples, gold = read_corpus(data / "atis", FRAME, 400)
    labels = simulated(FRAME, gold, noise=0.2, systematic=systematic).label(examples)
    parts = wrong = 0
    for label in labels:
        intent, *tags = gold[label.id].split()
        found_intent, *found = label.target.split()
        starts = [at for at, tag in enumerate(tags) if tag.startswith("B-")]
        parts += 1 + len(starts)
        wrong += (intent != found_intent) + sum(found[at : end(tags, at)] != tags[at : end(tags, at)] for at in starts)
    # Moves to the right are not seen by this count; systematic errors fall on kinds of parts, not on parts.
    assert 0.1 < wrong / parts < 0.3


def end(tags: list[str], start: int) -> int:
    following = start + 1
    while following < len(tags) and tags[following].startswith("I-"):
        following += 1
    return following


def test_simulated_labels_hang_on_seed_and_id_alone(data: Path) -> None:
    examples, gold = read_corpus(data / "ptb", TREE, 60)
    whole = simulated(TREE, gold, noise=0.4).label(examples)
    again = simulated(TREE, dict(reversed(gold.items())), noise=0.4)
    assert [again.label([example])[0] for example in examples] == whole
    assert simulated(TREE, gold, noise=0.4, seed=2).label(examples) != whole


def test_systematic_errors_are_the_same_for_the_same_words() -> None:
    twice = dict.fromkeys("abcdefgh", "play O B-genre") | {"other": "stop B-artist B-city"}
    examples = [Example(name, ("some", "jazz")) for name in "abcdefgh"]
    always = simulated(FRAME, twice, noise=1, systematic=1).label(examples)
    sometimes = simulated(FRAME, twice, noise=1, systematic=0).label(examples)
    assert len({label.target for label in always}) == 1
    assert always[0].target != "play O B-genre"
    assert len({label.target for label in sometimes}) > 1


def test_an_input_without_gold_is_a_failed_row() -> None:
    (label,) = simulated(TREE, {"cat": CAT_TREE}).label([Example("dog", ("dog",))])
    assert label.outcome is Outcome.FAILED
    assert label.reason


def test_what_an_engine_needs_and_lacks() -> None:
    with pytest.raises(ConfigError, match="no gold"):
        make_labeller(TeacherConfig(engine="simulated"), TREE)
    with pytest.raises(ModelError, match="needs the checkpoint"):
        make_labeller(TeacherConfig(engine="student"), TREE)


BRACKETS = "( ( ( the ) ( cat ) ) ( sleeps ) )"
UNLABELLED = "(X (X (X the) (X cat)) (X sleeps))"
REPLAYED: list[tuple[dict[str, Any], str]] = [
    ({"id": "cat", "tokens": ["the", "cat", "sleeps"], "tree": CAT_TREE}, CAT_TREE),
    ({"tree": CAT_TREE}, CAT_TREE),
    ({"id": "cat", "output": BRACKETS}, UNLABELLED),
    ({"tokens": ["the", "cat", "sleeps"], "output": BRACKETS}, UNLABELLED),
    ({"text": "the cat sleeps", "output": BRACKETS}, UNLABELLED),
    ({"translation": {"unparsed": "the cat  sleeps", "unlabeled": BRACKETS}}, UNLABELLED),
    ({"translation": {"unparsed": "the cat sleeps", "parsed": BRACKETS, "unlabeled": None}}, UNLABELLED),
]


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(path: Path, *rows: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


@pytest.mark.parametrize(("row", "target"), REPLAYED)
@pytest.mark.parametrize(("write", "name"), [(jsonl, "labels.jsonl"), (parquet, "labels.parquet")])
def test_replays_what_somebody_has(
    tmp_path: Path, row: dict[str, Any], target: str, write: Callable[..., Path], name: str
) -> None:
    path = write(tmp_path / name, row)
    config = TeacherConfig(engine="replay", model=str(path), linearisation="words")
    (label,) = make_labeller(config, TREE).label([CAT])
    assert (label.target, label.outcome) == (target, Outcome.OK)


def test_replayed_damage_is_repaired_and_gaps_are_failed_rows(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "labels.jsonl", {"id": "cat", "output": BRACKETS[:-4]}, {"id": "dog", "tree": CAT_TREE})
    teacher = ReplayTeacher(path, TREE, "words")
    examples = [CAT, Example("dog", ("dog",)), *[Example(f"n{index}", ("no",)) for index in range(7)]]
    labels = teacher.label(examples)
    assert [label.outcome for label in labels] == [Outcome.REPAIRED] + [Outcome.FAILED] * 8
    assert "does not annotate this input" in labels[1].reason
    assert "has no row for this input" in labels[2].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ('{"id": "a"}', "neither 'tokens' nor 'tree'"),
        ('{"id": "a", "tokens": ["a"]}', "no annotation"),
        ('{"id": "a", "tree": "(S"}', "brackets are not closed"),
        ('{"id": "a", "output": 3}', "'output' is 3"),
        ('{"output": "(X a)"}', "neither an 'id' nor its input's text"),
        ('{"id": 7, "output": "x"}', "'id' is 7"),
        ('{"id": "cat", "output": "x"}', "the id 'cat' comes twice"),
        ('{"translation": "a"}', "not an object"),
        ('{"translation": {"unparsed": "a"}}', "'parsed' is None"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = jsonl(tmp_path / "labels.jsonl", {"id": "cat", "tree": CAT_TREE})
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(DataError, match=reason) as error:
        ReplayTeacher(path, TREE)
    assert str(error.value).startswith(f"{path}:3: ")


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe")
    (tmp_path / "fake.parquet").write_bytes(b"no")
    for name, reason in (("none.jsonl", "can't be read"), ("binary.jsonl", "not UTF-8"), ("fake.parquet", "Parquet")):
        with pytest.raises(DataError, match=reason):
            ReplayTeacher(tmp_path / name, TREE)
    with pytest.raises(ConfigError, match="no linearisation 'frames'"):
        ReplayTeacher(tmp_path / "none.jsonl", TREE, "frames")
