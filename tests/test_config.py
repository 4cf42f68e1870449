"""Reading a config: what is right comes back whole, and each mistake is one sentence with its place."""

from pathlib import Path

import pytest

from mckd_ray.config_file import read_config, write_config
from mckd_ray.errors import ConfigError

SMALL = "task: {kind: constituency}\ncorpus: {format: builtin}\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_a_small_config_is_enough(small: Path) -> None:
    config = read_config(small)
    assert (config.name, config.plan.stages, config.student.kind) == ("small", 3, "tagger")


def test_overrides_reach_any_key(small: Path) -> None:
    config = read_config(small, ["plan.stages=2", "student.base.masked.steps=7", "plan.seeds=[1,2]"])
    assert config.plan.stages == 2
    assert config.student.base is not None
    assert config.student.base.masked.steps == 7
    assert config.plan.seeds == (1, 2)


def test_written_out_it_reads_back_the_same(small: Path, tmp_path: Path) -> None:
    config = read_config(small, ["teacher.engine=simulated", "corpus.general={format: builtin}"])
    write_config(config, tmp_path / "full.yaml")
    assert read_config(tmp_path / "full.yaml") == config


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("plan.stage=3", ["unknown key 'plan.stage'", "Did you mean 'stages'"]),
        ("corpus.general.row=3", ["unknown key 'corpus.general.row'", "Did you mean 'rows'"]),
        ("plam.stages=3", ["unknown key 'plam'", "Did you mean 'plan'"]),
        ("plan.stages=0", ["plan.stages is 0", "greater than or equal to 1"]),
        ("plan.partitions=1", ["plan.partitions is 1", "greater than or equal to 2"]),
        ("plan.stages=many", ["plan.stages is 'many'", "integer"]),
        ("student.kind=taggr", ["student.kind is 'taggr'", "Did you mean 'tagger'"]),
        ("plan.systems=[kd, mckds]", ["mckds", "Did you mean 'mckd'"]),
        ("teacher.noise=2", ["teacher.noise is 2", "less than or equal to 1"]),
        ("plan.stages", ["override 'plan.stages'", "key=value"]),
        ("task.kind.x=1", ["override 'task.kind.x=1'", "not a section"]),
        ("name=a/b", ["name is 'a/b'"]),
    ],
)
def test_a_wrong_override_is_one_sentence(small: Path, override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(small, [override])
    message = str(error.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"task: [constituency\n", ["bad.yaml:2", "not valid YAML"]),
        (b"- a\n- b\n", ["must hold a mapping"]),
        (b"", ["must hold a mapping"]),
        (b"task: \xff\n", ["UTF-8"]),
        (b"corpus: {format: builtin}\n", ["'task' is missing"]),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config file"):
        read_config(tmp_path / "none.yaml")
