"""A run: plan the experiment, do what is left of it, and say what came out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mckd_ray import corpora
from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import write_config
from mckd_ray.plan.experiment import plan
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import Report, reports_of_done
from mckd_ray.runner.results import result_of
from mckd_ray.storage import root_at
from mckd_ray.storage.files import as_json
from mckd_ray.storage.root import Place

CONFIG = "config.yaml"
PLAN = "plan.json"
RESULT = "result.json"


@dataclass(frozen=True)
class View:
    """What there is to see of a run while it goes on."""

    config: ExperimentConfig
    steps: Sequence[Step]
    """Those that are to be done, inputs first."""
    store: Store
    reports: Mapping[str, Report]
    """Of those that have ended, by digest."""


def graph_of(config: ExperimentConfig) -> Graph:
    """The graph of `config` over the corpus as it is now. Raises UserError for a config or corpus that cannot stand."""
    return plan(config, corpora.fingerprint(config.corpus, config.task.kind))


def run_place(config: ExperimentConfig) -> Place:
    """Where a run leaves its config, plan and result."""
    return Place(root_at(config.store.root), config.name)


def plan_as_data(graph: Graph, store: Store) -> dict[str, Any]:
    """What plan.json holds: all that whoever looks from outside needs, to find their way in the store."""
    return {
        "store": store.root.uri,
        "steps": graph.as_data(),
        "scored": graph.scored_as_data(),
        "quality": graph.quality_as_data(),
    }


def run(config: ExperimentConfig, watch: Callable[[View], None], verbose: bool = False) -> dict[str, Any]:
    """Run `config` and return its result, which is also in result.json of the run's folder.

    Steps that have happened are reused; if none is left, Ray isn't even started. The result names steps that failed.
    """
    graph, store = graph_of(config), Store(config.store.root)
    store.check_writable()
    place = run_place(config)
    place.path.mkdir(parents=True, exist_ok=True)
    write_config(config, place.path / CONFIG)
    (place / CONFIG).keep()
    (place / PLAN).write(as_json(plan_as_data(graph, store)))
    reports = do_steps(config, graph.steps, store, lambda now: watch(View(config, graph.steps, store, now)), verbose)
    result = result_of(config, graph, store, reports)
    (place / RESULT).write(as_json(result))
    return result


def do_steps(
    config: ExperimentConfig,
    steps: Sequence[Step],
    store: Store,
    watch: Callable[[Mapping[str, Report]], None],
    verbose: bool = False,
) -> dict[str, Report]:
    """Do those of `steps` that have not happened, or whose inputs have not; inputs come first. Reports by digest."""
    known = reports_of_done(store, steps)
    todo = [step for step in steps if step.digest not in known]
    if not todo:
        return known
    from mckd_ray.runner.dispatch import dispatch, is_asking
    from mckd_ray.runner.session import session
    from mckd_ray.student.tracking import check_trackers

    check_trackers(config.tracking)
    with session(config.resources, any(map(is_asking, todo)), verbose):
        return dispatch(todo, known, store, config.resources, watch)
