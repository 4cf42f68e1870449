"""`mckd predict`: annotate a file through labelling actors; what a killed attempt has done is not done again."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mckd_ray.config import LabellingResources, ResourcesConfig
from mckd_ray.errors import ConfigError, DataError, StoreError
from mckd_ray.plan.identity import digest_of
from mckd_ray.records import Label
from mckd_ray.runner.labelling import StudentLabeller, label_in_pool, start_pool
from mckd_ray.runner.progress import Progress, read_progress
from mckd_ray.runner.session import session
from mckd_ray.serving.annotations import completed, result_json
from mckd_ray.serving.export import export
from mckd_ray.serving.inputs import Asked, InputReader
from mckd_ray.serving.models import Model, find
from mckd_ray.serving.refusals import RefusedError
from mckd_ray.serving.settings import ServingConfig
from mckd_ray.storage import place_at
from mckd_ray.storage.files import write_json
from mckd_ray.storage.root import Place

IDENTITY = "identity.json"
Watch = Callable[[Progress], None]


def predict(config: ServingConfig, source: Path, output: Path, watch: Watch, verbose: bool = False) -> dict[str, Any]:
    """Write a result for each line of `source` into `output`, in order; returns counts.

    Answers are kept in `OUTPUT.parts` as they come; the same command goes on from there, and removes it at its end.
    Raises ModelError, DataError for an input that can't be read, StoreError if the output can't be written.
    """
    model = find(config.model, config.system)
    asked = list(read_inputs(source, InputReader(model.task, config.limits)))
    parts = output.with_name(f"{output.name}.parts")
    inputs = [[*one.example.tokens, one.example.text] for one in asked]
    _prepare(parts, digest_of([model.digest, asdict(config.generation), inputs]))
    replicas = config.replicas
    resources = LabellingResources(actors=replicas.most, cpus=replicas.cpus, gpus=replicas.gpus)
    with session(ResourcesConfig(labelling=resources), verbose=verbose), _watching(place_at(parts), watch):
        examples = [one.example for one in asked]
        student = StudentLabeller(model.place, config.generation)
        labels, _ = label_in_pool(start_pool(resources), student, examples, model.id, place_at(parts), resources.chunk)
    outcomes = _write(output, asked, labels, model)
    shutil.rmtree(parts)
    return {"model": model.id, "rows": len(asked), "outcomes": dict(outcomes), "output": str(output)}


def package(config: ServingConfig, source: Path, output: Path, folder: Path) -> list[str]:
    """Write into `folder` what a job of `mckd predict` needs, and return the arguments of its command.

    A model that is found here goes along as `mckd export` writes it, and so does a `source` by a relative path;
    absolute paths are the cluster's own. Raises ModelError, DataError, and ConfigError if the output would lie in the
    job's folder.
    """
    if not output.is_absolute():
        raise ConfigError(
            f"--output is '{output}', below the folder of the job, which the cluster deletes; give the absolute path "
            "of a file that all its nodes share."
        )
    inputs = folder / "inputs"
    inputs.mkdir()
    model = [config.model, *([f"--system={config.system}"] if config.system else [])]
    if not Path(config.model).is_absolute():
        export(config.model, inputs / "model", config.system)
        model = ["inputs/model"]
    if not source.is_absolute():
        try:
            source = Path(shutil.copy2(source, inputs)).relative_to(folder)
        except OSError as error:
            raise DataError(f"{source}: can't be read ({error.strerror}).") from error
    return [*model, f"--input={source}", f"--output={output}"]


def read_inputs(source: Path, reader: InputReader) -> Iterator[Asked]:
    """The inputs of a file with a JSON object a line; blank lines are none. Raises DataError with file and line."""
    try:
        with source.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield reader.line(line, number)
    except OSError as error:
        raise DataError(f"{source}: can't be read ({error.strerror}).") from error
    except RefusedError as refused:
        raise DataError(f"{source}, {refused.field}: {refused.message}.") from None


def _prepare(parts: Path, identity: str) -> None:
    """Make the folder of what is done; what another model or engine, or other inputs, left there goes."""
    marker = parts / IDENTITY
    try:
        if parts.exists() and (not marker.exists() or json.loads(marker.read_text("utf-8")) != identity):
            shutil.rmtree(parts)
        write_json(marker, identity)
    except OSError as error:
        raise StoreError(f"{parts}: can't be written ({error.strerror}); name another --output.") from error


def _write(output: Path, asked: Sequence[Asked], labels: Sequence[Label], model: Model) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    fresh = output.with_name(f".{output.name}.new")
    with fresh.open("w", encoding="utf-8") as stream:
        for one, label in zip(asked, labels, strict=True):
            whole = completed(label, one, model.task, model.linearisation)
            result = result_json(one, whole, model.task, model.linearisation)
            stream.write(f'{{"line": {one.example.id}, {result[1:]}\n')
            outcomes[whole.outcome.value] += 1
    fresh.replace(output)
    return outcomes


@contextmanager
def _watching(parts: Place, watch: Watch) -> Iterator[None]:
    """Call `watch` with the progress, twice a second."""
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(parts.root.interval_s):
            if (progress := read_progress(parts)) is not None:
                watch(progress)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
