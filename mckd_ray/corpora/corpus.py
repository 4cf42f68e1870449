"""The corpus of an experiment: a labelled budget, an unlabelled pool, dev, test, and gold of a general domain."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mckd_ray.config import CorpusConfig, GeneralConfig, SourceConfig
from mckd_ray.corpora import builtin, locate
from mckd_ray.corpora.readers import read
from mckd_ray.corpora.rows import Row
from mckd_ray.corpora.splits import draw
from mckd_ray.errors import DataError
from mckd_ray.records import Example, TrainingRow
from mckd_ray.tasks.base import Task

BAD_SHARE = 0.01
"""The share of a split's rows that may be bad: they are left out and named. More is an error."""


@dataclass(frozen=True)
class Corpus:
    """What an experiment runs on. Gold of pool, dev and test is apart, by split and id; the pool's may be partial."""

    labelled: list[TrainingRow]
    pool: list[Example]
    dev: list[Example]
    test: list[Example]
    general: list[TrainingRow]
    gold: Mapping[str, Mapping[str, str]]
    problems: list[str]
    """Rows that were left out, each as `file:line: reason`."""

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each part, and how many lines of problems."""
        return {
            "labelled": len(self.labelled),
            "pool": len(self.pool),
            "dev": len(self.dev),
            "test": len(self.test),
            "general": len(self.general),
            "pool_gold": len(self.gold["pool"]),
            "problems": len(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A good row: its input, its gold if it has any, and where it stands."""

    example: Example
    target: str | None
    where: str


def load(config: CorpusConfig, task: Task) -> Corpus:
    """Read, check and draw the corpus that `config` names, the same for the same config and content.

    A few bad rows are left out and named in `problems`. Raises DataError for a corpus that cannot be used.
    """
    problems: list[str] = []
    splits = _builtin_splits(config, task) if config.format == "builtin" else _file_splits(config, task, problems)
    if config.held_out:
        splits = _held_out(splits, config.held_out)
    general = _general(config.general, config.seed, task, problems) if config.general else []
    return Corpus(
        labelled=[_training_row(entry) for entry in splits["labelled"]],
        pool=[entry.example for entry in splits["pool"]],
        dev=[entry.example for entry in splits["dev"]],
        test=[entry.example for entry in splits["test"]],
        general=general,
        gold={name: _gold(splits[name]) for name in ("pool", "dev", "test")},
        problems=problems,
    )


def read_split(config: SourceConfig, split: str, task: Task, problems: list[str]) -> list[Entry]:
    """The good rows of one split in file order; what is wrong with the others goes to `problems`.

    Raises DataError if there are no rows, or if more than `BAD_SHARE` of them are bad.
    """
    entries: list[Entry] = []
    bad: list[str] = []
    seen: dict[str, str] = {}
    for row in read(config, split):
        try:
            entries.append(_entry(row, task, split, seen))
        except DataError as error:
            bad.append(f"{row.where}: {error}")
    if not entries and not bad:
        raise DataError(f"{locate.place(config, split)}: is empty; {split} needs one row at least.")
    if len(bad) > BAD_SHARE * (len(entries) + len(bad)):
        raise DataError(
            f"{bad[0]} (bad rows of {split}: {len(bad)} of {len(entries) + len(bad)}; "
            f"over {BAD_SHARE:.0%} they are not just left out: mend them or take them out)."
        )
    problems.extend(bad)
    return [entry for entry in entries if config.max_tokens is None or _length(entry.example) <= config.max_tokens]


def _entry(row: Row, task: Task, split: str, seen: dict[str, str]) -> Entry:
    if row.problem:
        raise DataError(row.problem)
    example, target = task.read(row.values)
    if example.id in seen:
        raise DataError(f"id '{example.id}' is already that of {seen[example.id]}")
    if target is None and split != "train":
        raise DataError(f"no gold annotation, which every row of {split} needs")
    seen[example.id] = row.where
    return Entry(example, target, row.where)


def _length(example: Example) -> int:
    return len(example.tokens) or len(example.text.split())


def _file_splits(config: CorpusConfig, task: Task, problems: list[str]) -> dict[str, list[Entry]]:
    wanted = [name for name in ("test", "dev", "train") if (name, config.dev) != ("dev", 0)]
    read_in = {name: read_split(config, name, task, problems) for name in wanted}
    _check_ids(read_in)
    clean = dict(_without_leaks(read_in, problems))
    with_gold = [entry for entry in clean["train"] if entry.target is not None]
    labelled = _drawn(with_gold, config.labelled, config.seed, "labelled")
    taken = {entry.example.id for entry in labelled}
    rest = [entry for entry in clean["train"] if entry.example.id not in taken]
    return {
        "labelled": labelled,
        "pool": _drawn(rest, config.pool, config.seed, "pool"),
        "dev": _drawn(clean.get("dev", []), config.dev, config.seed, "dev"),
        "test": _drawn(clean["test"], config.test, config.seed, "test"),
    }


def _check_ids(splits: Mapping[str, list[Entry]]) -> None:
    """Raise DataError for an id that stands in two splits."""
    seen: dict[str, str] = {}
    for entries in splits.values():
        for entry in entries:
            if other := seen.get(entry.example.id):
                raise DataError(f"{entry.where}: id '{entry.example.id}' is also in another split ({other}).")
        seen |= {entry.example.id: entry.where for entry in entries}


def _without_leaks(splits: Mapping[str, list[Entry]], problems: list[str]) -> Iterator[tuple[str, list[Entry]]]:
    """Each split without the inputs of those before it (test, dev, train), lest it is scored on what it saw.

    Such rows are common in corpora of short inputs, so they are no error: one line of `problems` counts them.
    """
    seen: set[str] = set()
    for name, entries in splits.items():
        leaks = [entry for entry in entries if entry.example.source in seen]
        if leaks:
            problems.append(
                f"{leaks[0].where}: this input of {name} is also in a split that is kept for evaluation; "
                f"left out, as all {len(leaks)} such rows of {name}"
            )
        yield name, [entry for entry in entries if entry.example.source not in seen]
        seen |= {entry.example.source for entry in entries}


def _drawn(entries: list[Entry], count: int | None, seed: int, role: str) -> list[Entry]:
    if count is not None and count > len(entries):
        kind = {"labelled": "rows of train with gold", "pool": "other rows of train"}.get(role, f"rows of {role}")
        raise DataError(f"corpus.{role} is {count}, but there are only {len(entries)} {kind}; ask for at most that.")
    return draw(entries, count, lambda entry: entry.example.id, f"{seed}:{role}")


def _held_out(splits: Mapping[str, list[Entry]], count: int) -> dict[str, list[Entry]]:
    """The first `count` rows of the labelled budget are dev, and their inputs stand nowhere else."""
    dev, labelled = splits["labelled"][:count], splits["labelled"][count:]
    inputs = {entry.example.source for entry in dev}
    rest = {"labelled": labelled, "pool": splits["pool"]}
    others = {role: [entry for entry in some if entry.example.source not in inputs] for role, some in rest.items()}
    return {**splits, **others, "dev": dev}


def _builtin_splits(config: CorpusConfig, task: Task) -> dict[str, list[Entry]]:
    made = builtin.target_rows(task.name, builtin.sizes(config), config.seed, config.max_tokens)
    return {role: list(_read_all(rows, task)) for role, rows in made.items()}


def _general(config: GeneralConfig, seed: int, task: Task, problems: list[str]) -> list[TrainingRow]:
    """Gold of the general domain; its ids get a prefix, so that they are nobody else's."""
    if config.format == "builtin":
        made = builtin.general_rows(task.name, config.rows, seed, config.max_tokens)
        entries = list(_read_all(made, task))
    else:
        with_gold = [entry for entry in read_split(config, "train", task, problems) if entry.target is not None]
        if config.rows is not None and config.rows > len(with_gold):
            raise DataError(
                f"corpus.general.rows is {config.rows}, but {config.path} has only {len(with_gold)} rows with gold."
            )
        entries = draw(with_gold, config.rows, lambda entry: entry.example.id, f"{seed}:general")
    return [_training_row(entry, "general:") for entry in entries]


def _read_all(rows: Iterable[Mapping[str, object]], task: Task) -> Iterator[Entry]:
    for row in rows:
        example, target = task.read(row)
        yield Entry(example, target, str(row["id"]))


def _training_row(entry: Entry, prefix: str = "") -> TrainingRow:
    example = entry.example
    return TrainingRow(f"{prefix}{example.id}", example.tokens, example.text, entry.target or "")


def _gold(entries: Iterable[Entry]) -> dict[str, str]:
    return {entry.example.id: entry.target for entry in entries if entry.target is not None}
