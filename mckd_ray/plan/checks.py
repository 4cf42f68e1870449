"""What a config must satisfy beyond the type of each key: that its parts fit one another."""

from collections.abc import Callable

from mckd_ray.config import ExperimentConfig, StudentConfig
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.student import KINDS
from mckd_ray.tasks import task_named
from mckd_ray.tasks.base import Task
from mckd_ray.teacher import PROMPTED, engine_name, make_prompts

SCRATCH = "scratch"
"""The model that is trained here, from random weights."""


def check(config: ExperimentConfig) -> None:
    """Raise ConfigError, with one sentence, for the first thing that does not fit."""
    for rule in _RULES:
        rule(config)


def _students_fit_the_task(config: ExperimentConfig) -> None:
    _student_fits(config, "student", config.student)
    if config.teacher.student is not None:
        _student_fits(config, "teacher.student", config.teacher.student)


def _student_fits(config: ExperimentConfig, key: str, student: StudentConfig) -> None:
    task = task_named(config.task.kind)
    if student.linearisation not in task.linearisations:
        hint = nearest(student.linearisation, task.linearisations)
        raise ConfigError(
            f"{key}.linearisation is '{student.linearisation}', which task {task.name} does not have.{hint}"
        )
    if student.kind == "tagger" and task.tags is None:
        raise ConfigError(f"{key}.kind is 'tagger', but task {task.name} has no tags; set {key}.kind=seq2seq.")
    if student.kind == "tagger" and student.linearisation != "tags":
        raise ConfigError(
            f"{key}.linearisation is '{student.linearisation}', but a tagger writes 'tags'; set that, or kind seq2seq."
        )
    _engine_fits(key, student)
    if student.scratch.width % student.scratch.heads:
        raise ConfigError(
            f"{key}.scratch.width is {student.scratch.width}, which {student.scratch.heads} heads do not divide; "
            "choose a multiple."
        )
    if student.base is not None and config.corpus.general is None:
        raise ConfigError(f"{key}.base needs gold of a general domain; add corpus.general, or leave {key}.base out.")


def _engine_fits(key: str, student: StudentConfig) -> None:
    kinds = {"ctranslate2": ("seq2seq",), "vllm": ("causal",)}.get(student.engine, KINDS)
    if student.kind not in kinds:
        raise ConfigError(
            f"{key}.engine is '{student.engine}', which is for {key}.kind={kinds[0]}, and it is {student.kind}; "
            "leave the engine out."
        )
    if student.quantization and student.engine != "ctranslate2":
        raise ConfigError(
            f"{key}.quantization={student.quantization} needs {key}.engine=ctranslate2, and it is {student.engine}."
        )


def _budget_is_enough(config: ExperimentConfig) -> None:
    corpus = config.corpus
    labelled = corpus.labelled - corpus.held_out
    if corpus.held_out and (corpus.dev != 0 or labelled < 1):
        raise ConfigError(
            f"corpus.held_out is {corpus.held_out}: it takes the place of dev, so corpus.dev must be 0, and some of "
            f"corpus.labelled, which is {corpus.labelled}, must be left."
        )
    if engine_name(config.teacher) in ("student", *PROMPTED) and config.teacher.shots > labelled:
        less = f" less corpus.held_out ({corpus.held_out})" if corpus.held_out else ""
        raise ConfigError(
            f"teacher.shots is {config.teacher.shots}, more than the labelled budget; "
            f"set it to at most corpus.labelled{less}, which is {labelled}."
        )
    if labelled == 0 and ("sft" in config.plan.systems or config.plan.gold_weight):
        raise ConfigError("corpus.labelled is 0, but system sft and plan.gold_weight need labelled rows; raise it.")


def _teacher_has_what_it_needs(config: ExperimentConfig) -> None:
    teacher, engine = config.teacher, engine_name(config.teacher)
    if engine in (*PROMPTED, "replay") and not teacher.model:
        what = "the file with the pseudolabels" if engine == "replay" else "a hub name or model folder"
        raise ConfigError(f"teacher.model is empty, but teacher.engine={teacher.engine} needs {what} there.")
    if engine == "student" and not teacher.shots and config.corpus.general is None:
        raise ConfigError("teacher.engine=student has nothing to learn from; set teacher.shots or corpus.general.")
    task = task_named(config.task.kind)
    if teacher.linearisation and teacher.linearisation not in task.linearisations:
        hint = nearest(teacher.linearisation, task.linearisations)
        raise ConfigError(
            f"teacher.linearisation is '{teacher.linearisation}', which task {task.name} does not have.{hint}"
        )
    if engine in PROMPTED:
        _prompts_can_be_written(config, task)


def _prompts_can_be_written(config: ExperimentConfig, task: Task) -> None:
    teacher, engine = config.teacher, engine_name(config.teacher)
    make_prompts(teacher, task, [])
    if teacher.model == SCRATCH:
        student = teacher.student
        if engine == "openai" or student is None or student.kind != "causal" or config.corpus.general is None:
            raise ConfigError(
                "teacher.model=scratch is a language model that is trained here: it needs engine vllm or transformers, "
                "teacher.student with kind causal, and corpus.general."
            )
    if teacher.constrain != "none" and engine != "vllm":
        raise ConfigError(f"teacher.constrain={teacher.constrain} needs teacher.engine=vllm, and it is {engine}.")
    if teacher.samples > 1 and not teacher.temperature:
        raise ConfigError(
            f"teacher.samples is {teacher.samples} with temperature 0, so all would be the same; raise the temperature."
        )


def _systems_make_sense(config: ExperimentConfig) -> None:
    systems, seeds = config.plan.systems, config.plan.seeds
    if not systems:
        raise ConfigError("plan.systems is empty; name at least one of teacher, base, sft, kd, mckd, self, born-again.")
    if "base" in systems and config.student.base is None:
        raise ConfigError("plan.systems has 'base', but student.base is not set; set it, or leave the system out.")
    for key, values in (("systems", systems), ("seeds", seeds)):
        if len(set(values)) < len(values):
            raise ConfigError(f"plan.{key} names something twice: {', '.join(map(str, values))}; name each once.")


def _options_have_an_effect(config: ExperimentConfig) -> None:
    settings, selection = config.plan, config.plan.selection
    if (selection.by == "none") != (selection.keep == 1 and not selection.weigh):
        raise ConfigError(
            f"plan.selection.by is '{selection.by}', keep {selection.keep:g} and weigh {str(selection.weigh).lower()}; "
            "to select labels, set by to confidence or agreement, and keep below 1 or weigh to true."
        )
    if settings.stopping == "budget" and (settings.gold_weight or not config.corpus.labelled):
        raise ConfigError(
            "plan.stopping=budget scores students on the labelled budget, so it needs corpus.labelled above 0, and "
            "plan.gold_weight=0, or they would have trained on it."
        )


def _batches_divide(config: ExperimentConfig) -> None:
    resources = config.resources.student
    parts = resources.workers * resources.accumulate
    for key, student in (("student", config.student), ("teacher.student", config.teacher.student)):
        if student is not None and student.training.batch_size % parts:
            raise ConfigError(
                f"{key}.training.batch_size is {student.training.batch_size}, which does not divide into "
                f"{resources.workers} workers x {resources.accumulate} accumulated parts; choose a multiple of {parts}."
            )


_RULES: tuple[Callable[[ExperimentConfig], None], ...] = (
    _students_fit_the_task,
    _budget_is_enough,
    _teacher_has_what_it_needs,
    _systems_make_sense,
    _options_have_an_effect,
    _batches_divide,
)
