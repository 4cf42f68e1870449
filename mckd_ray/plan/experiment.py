"""The method as a graph: from an experiment's config to its steps (MCKD, Zhao et al. 2024, section 3).

`plan` is a pure function. Two branches of an experiment that need the same thing get the same step.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from mckd_ray.config import ExperimentConfig, StudentConfig, TrainingConfig
from mckd_ray.config_file import section_settings
from mckd_ray.plan.checks import SCRATCH, check
from mckd_ray.plan.groups import Group, groups, letter
from mckd_ray.plan.identity import located, model_identity
from mckd_ray.plan.recipes import Part, Tables, gold_recipe, pool_recipe, teacher_recipe
from mckd_ray.plan.steps import Graph, Scored, Step
from mckd_ray.student import relabels_with
from mckd_ray.teacher import engine_name

BASE_SEED = 0
"""The base student is one checkpoint, whatever the seeds of the students that start from it."""
MEMBERS_APART = 1000
"""The difference between the seeds of the students of one group."""


def plan(config: ExperimentConfig, fingerprint: str) -> Graph:
    """The steps of `config` over a corpus whose content has this `fingerprint`. Raises ConfigError."""
    check(config)
    return _Planner(config, fingerprint).graph


class _Planner:
    """Builds the graph, branch by branch."""

    def __init__(self, config: ExperimentConfig, fingerprint: str) -> None:
        self.config = config
        self.graph = Graph()
        self.all = tuple(range(config.plan.partitions))
        identity = {"task": config.task.kind, "content": fingerprint}
        options = {"corpus": section_settings(config.corpus)}
        self.corpus = self.graph.add(Step("corpus", "corpus", identity, options=options))
        self.gold = self.graph.add(Step("gold", "gold, for evaluation only", identity, options=options))
        self._build()

    def _build(self) -> None:
        systems, stages = self.config.plan.systems, self.config.plan.stages
        if "teacher" in systems:
            self._score("teacher", 0, self._teacher_labels)
        if "base" in systems:
            self._score_student("base", BASE_SEED, self._initial(self.config.student))
        for seed in self.config.plan.seeds:
            tables = {name: self._chain(name, seed) for name in ("mckd", "self", "born-again") if name in systems}
            if "sft" in systems:
                self._score_student("sft", seed, self._train_on_gold(seed))
            if "kd" in systems:
                self._score_student("kd", seed, self._final("kd", seed, [(self._pool_labels,)]))
            for name, labels in tables.items():
                for stage in range(2, stages + 1):
                    student = self._final(f"{name}-{stage}", seed, labels[:stage])
                    self._score_student(f"{name}-{stage}", seed, student)

    # The method: stages of cross-partition labelling, then a final student.

    def _chain(self, system: str, seed: int) -> list[Tables]:
        """The pool's label tables after stages 0 (the teacher's) to K-1."""
        tables: list[Tables] = [(self._pool_labels,)]
        for stage in range(1, self.config.plan.stages):
            students = list(self._stage_students(system, stage, seed, tables))
            name = f"labels {stage} {system}"
            labels = [self._pool_table(name, seed, [(who, one, group.relabels) for who, one, group in students])]
            if system == "mckd" and self.config.plan.mix == "cross+self":
                own = [(f"{who}, its own", one, group.seen) for who, one, group in students]
                labels.append(self._pool_table(f"{name}, own", seed, own))
            tables.append(tuple(labels))
            self._judge(f"{system} labels {stage} seed {seed}", labels[0])
        return tables

    def _stage_students(
        self, system: str, stage: int, seed: int, tables: Sequence[Tables]
    ) -> Iterator[tuple[str, Step, Group]]:
        """The students of an intermediate stage, each with its name and group."""
        for number, group in enumerate(groups(self.config.plan, system)):
            recipe = pool_recipe(self.config.plan, tables, group.seen)
            for member in range(self.config.plan.students):
                part = "" if group.seen == self.all else f" {letter(number)}"
                name = f"{system} stage {stage}{part}{f' student {member + 1}' if member else ''}"
                training = self._stage_training(group.seen)
                yield name, self._train(f"train {name}", seed + MEMBERS_APART * member, recipe, training), group

    def _pool_table(self, name: str, seed: int, labellers: Sequence[tuple[str, Step, tuple[int, ...]]]) -> Step:
        """One table of the pool, from what each of the students labels of it."""
        tables = [self._relabel(f"relabel {who}", student, "pool", which) for who, student, which in labellers]
        return tables[0] if len(tables) == 1 else self._merge(f"{name} seed {seed}", tables)

    def _final(self, system: str, seed: int, tables: Sequence[Tables]) -> Step:
        """The final student of a chain: trained on all partitions with the latest labels."""
        recipe = pool_recipe(self.config.plan, tables, self.all)
        return self._train(f"train {system}", seed, recipe, self.config.student.training)

    def _stage_training(self, seen: tuple[int, ...]) -> TrainingConfig:
        """How a student of an intermediate stage trains; one that sees the whole pool trains like a final one."""
        training, student = self.config.student.training, self.config.student
        if seen == self.all:
            return training
        return training.model_copy(update=student.intermediate.model_dump(exclude_none=True))

    # The teacher.

    @cached_property
    def _pool_labels(self) -> Step:
        """Labels 0: the teacher's, of the pool."""
        labels = self._asked_teacher
        self._judge("teacher labels", labels)
        return labels

    @property
    def _teacher_labels(self) -> dict[str, Step]:
        return dict.fromkeys(self.config.plan.evaluate, self._asked_teacher)

    @cached_property
    def _asked_teacher(self) -> Step:
        """The teacher's labels of all that it is asked for: one step, so that its engines start once."""
        teacher, engine = self.config.teacher, engine_name(self.config.teacher)
        splits = ["pool", *(self.config.plan.evaluate if "teacher" in self.config.plan.systems else ())]
        settings = {
            "splits": splits,
            **section_settings(teacher, leave_out=["student", "model", "template"]),
            "engine": engine,
            "model": teacher.model if teacher.model == SCRATCH else model_identity(teacher.model),
            "template": model_identity(teacher.template),
        }
        inputs = {"corpus": self.corpus}
        if engine == "student" or teacher.model == SCRATCH:
            inputs["checkpoint"] = self._teacher_student
        if engine == "student":
            settings = {"splits": splits, "engine": "student"}
        if engine == "simulated":
            inputs["gold"] = self.gold
        options = {
            "model": located(teacher.model),
            "template": located(teacher.template),
            "teacher": section_settings(self.config.resources.teacher),
            **self._labelling,
        }
        return self.graph.add(Step("label", "label by the teacher", self._of_task(settings), inputs, options))

    @cached_property
    def _teacher_student(self) -> Step:
        """The checkpoint that stands in for an LLM: trained on the general domain's gold, a student on shots too."""
        teacher = self.config.teacher
        student = teacher.student or self.config.student.model_copy(update={"base": None})
        template = teacher.template if teacher.model == SCRATCH else ""
        recipe = teacher_recipe(self.config)
        return self._train("train the teacher", teacher.seed, recipe, student.training, student, template)

    # Students.

    def _train_on_gold(self, seed: int) -> Step:
        """Supervised fine-tuning on the labelled budget alone."""
        return self._train("train sft", seed, gold_recipe(1), self.config.student.training)

    def _initial(self, student: StudentConfig) -> Step | None:
        """The base student that students start from, if the config asks for one."""
        if student.base is None:
            return None
        raw = self._add_training(
            "pretrain base on masked words",
            BASE_SEED,
            [Part({"from": "raw", "masking": {"masked_share": student.base.masked_share}})],
            student.base.masked,
            student,
            None,
        )
        general, training = [Part({"from": "general"})], student.base.supervised
        return self._add_training("pretrain base on gold", BASE_SEED, general, training, student, raw)

    def _train(
        self,
        name: str,
        seed: int,
        recipe: Sequence[Part],
        training: TrainingConfig,
        student: StudentConfig | None = None,
        template: str = "",
    ) -> Step:
        student = student or self.config.student
        initial = self._initial(student)
        return self._add_training(f"{name} seed {seed}", seed, recipe, training, student, initial, template)

    def _add_training(
        self,
        name: str,
        seed: int,
        recipe: Sequence[Part],
        training: TrainingConfig,
        student: StudentConfig,
        initial: Step | None,
        template: str = "",
    ) -> Step:
        inputs = {"corpus": self.corpus}
        for number, part in enumerate(recipe):
            inputs |= {f"{role}-{number}": table for role, table in part.tables.items()}
        model = {
            **section_settings(student, ["base", "training", "intermediate", "engine", "quantization"]),
            "model": model_identity(student.model),
        }
        if initial is not None:
            inputs["init"] = initial
        settings = {"student": model, "training": section_settings(training), "seed": seed}
        settings["data"] = [part.settings for part in recipe]
        options = {
            "model": located(student.model),
            "title": f"{self.config.name} {name}".strip(),
            "tracking": section_settings(self.config.tracking),
            **section_settings(self.config.resources.student),
        }
        if template:
            settings["template"], options["template"] = model_identity(template), located(template)
        return self.graph.add(Step("train", name, self._of_task(settings), inputs, options))

    def _relabel(self, name: str, student: Step, split: str, partitions: Sequence[int] | None = None) -> Step:
        settings: dict[str, Any] = {"split": split, **self._generation}
        if partitions is not None and tuple(partitions) != self.all:
            settings |= {"partitions": list(partitions), "of": self.config.plan.partitions}
        inputs = {"corpus": self.corpus, "student": student}
        name = f"{name} seed {student.settings['seed']}"
        options = {**self._labelling, "engine": self._engine}
        return self.graph.add(Step("relabel", name, self._of_task(settings), inputs, options))

    def _merge(self, name: str, tables: Sequence[Step]) -> Step:
        inputs = {"corpus": self.corpus, **{f"labels-{number}": table for number, table in enumerate(tables)}}
        settings = {"consensus": "parts"} if self.config.plan.consensus == "parts" else {}
        return self.graph.add(Step("merge", name, self._of_task(settings), inputs))

    # Evaluation.

    def _score_student(self, system: str, seed: int, student: Step | None) -> None:
        if student is None:
            return
        splits: list[str] = [*self.config.plan.evaluate]
        if self.config.plan.stopping == "budget" and system not in ("base", "sft"):
            splits.append("labelled")
        self._score(
            system, seed, {split: self._relabel(f"label {split} by {system}", student, split) for split in splits}
        )

    def _score(self, system: str, seed: int, labels: Mapping[str, Step]) -> None:
        for split, table in labels.items():
            step = self._evaluate(f"evaluate {system} on {split} seed {seed}", split, table)
            self.graph.scored.append(Scored(system, seed, split, step))

    def _judge(self, name: str, table: Step) -> None:
        """Measure the quality of a table of the pool's labels, where the pool has gold. Nothing else reads it."""
        self.graph.quality.setdefault(name, self._evaluate(f"quality of {name}", "pool", table))

    def _evaluate(self, name: str, split: str, table: Step) -> Step:
        inputs = {"corpus": self.corpus, "labels": table}
        if split != "labelled":  # Whose gold every step may see.
            inputs["gold"] = self.gold
        return self.graph.add(Step("evaluate", name, self._of_task({"split": split}), inputs))

    def _of_task(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {"task": self.config.task.kind, **settings}

    @property
    def _engine(self) -> str:
        return relabels_with(self.config.student, self.config.resources.labelling.gpus)

    @property
    def _generation(self) -> dict[str, Any]:
        """What of a student's engine changes its labels: torch and CTranslate2 in full precision write the same."""
        if self._engine == "vllm":
            return {"engine": "vllm"}
        quantization = self.config.student.quantization
        return {"quantization": quantization} if quantization else {}

    @property
    def _labelling(self) -> dict[str, Any]:
        return dict(section_settings(self.config.resources.labelling))
