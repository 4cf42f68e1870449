"""The commands that put a trained model to use: `mckd serve`, `mckd export`, `mckd predict`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mckd_ray.commands.parts import add_command, show, submission_arguments, submit, verbose_argument

RUN = "a run's folder, the folder or digest of a `train` step, a folder that `mckd export` wrote, or the URI of one"


def add_commands(commands: Any) -> None:
    """Add them to the command line."""
    serve = add_command(commands, "serve", _serve, "serve a model over HTTP, with a page to try it, until Ctrl-C")
    _model(serve)
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="the port to listen on (default: 8000)")
    serve.add_argument("--replicas", metavar="N", help="copies of the model: 2, or 1-4 to start more under load")
    serve.add_argument("--insecure", action="store_true", help="let others call it without a token")
    serve.add_argument("--export", type=Path, metavar="FILE", help="write what `serve deploy` takes, and serve nothing")
    _override(serve)
    verbose_argument(serve)
    export = add_command(
        commands, "export", _export, "copy a model into a folder that needs no store, with a model card"
    )
    _model(export)
    export.add_argument("folder", type=Path, metavar="DIR", help="the new folder")
    export.add_argument(
        "--data", action="store_true", help="instead: the labels that it learned from, with a data card"
    )
    export.add_argument(
        "--push", metavar="OWNER/NAME", help="upload it to the Hugging Face Hub, with the token HF_TOKEN"
    )
    predict = add_command(commands, "predict", _predict, "annotate a file of inputs through Ray, or what is left of it")
    _model(predict)
    predict.add_argument("--input", type=Path, required=True, help="JSONL with `text` or `tokens`, and `id` if wanted")
    predict.add_argument("--output", type=Path, required=True, help="JSONL to write: a result for each input, in order")
    predict.add_argument("--actors", type=int, default=1, metavar="N", help="copies of the model (default: 1)")
    _override(predict)
    verbose_argument(predict)
    submission_arguments(predict)


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument("run", metavar="RUN", help=RUN)
    command.add_argument("--system", help="of a run's folder: which final student (default: MCKD's of the last stage)")


def _override(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o",
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a key, such as limits.tokens=400",
    )


def _serve(options: argparse.Namespace) -> int:
    from mckd_ray.serving.serve import Address, secured, serve_model, write_serve_config
    from mckd_ray.serving.settings import read_settings

    address = Address(options.host, options.port)
    overrides = [*_replicas(options.replicas), *options.override]
    config = secured(read_settings(options.run, options.system, overrides), address, options.insecure)
    if options.export:
        write_serve_config(config, address, options.export)
        show(options, {"file": str(options.export)}, lambda: f"serve deploy {options.export}")
        return 0

    def tell(model: Any) -> None:
        facts = {"url": address.url, "model": model.id, "token": config.token}
        show(options, facts, lambda: _greeting(address.url, model.id, config.token))
        sys.stdout.flush()

    serve_model(config, address, tell, options.verbose)
    return 0


def _replicas(text: str | None) -> list[str]:
    """Overrides for `--replicas N` or `--replicas LEAST-MOST`."""
    if text is None:
        return []
    least, _, most = text.partition("-")
    return [f"replicas.least={least}", f"replicas.most={most or least}"]


def _greeting(url: str, model: str, token: bool) -> str:
    bearer = ' -H "Authorization: Bearer $MCKD_SERVE_TOKEN"' if token else ""
    return (
        f"{model} answers at {url}\n"
        f"  try it: open {url} in a browser, or\n"
        f'  curl {url}/v1/parse{bearer} --json \'{{"text": "The cat sleeps."}}\'\n'
        "  Ctrl-C stops it; SIGHUP serves what RUN holds by then."
    )


def _export(options: argparse.Namespace) -> int:
    from mckd_ray.serving.push import push, push_token

    token = push_token(options.push) if options.push else ""
    facts, said = _exported_data(options) if options.data else _exported_model(options)
    if options.push:
        facts["url"] = push(options.folder, options.push, "dataset" if options.data else "model", token)
        said += f"\n{facts['url']}"
    show(options, facts, lambda: said)
    return 0


def _exported_model(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mckd_ray.serving.export import export

    model = export(options.run, options.folder, options.system)
    return {"folder": str(options.folder), "model": model.id}, f"{model.id}: {options.folder}"


def _exported_data(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from mckd_ray.report.analysis.run import Run
    from mckd_ray.report.dataset import export_data

    facts = export_data(Run(options.run), options.folder, options.system)
    return facts, f"{facts['rows']} labels that {facts['system']} learned from: {options.folder}"


def _predict(options: argparse.Namespace) -> int:
    from mckd_ray.serving.predict import package, predict
    from mckd_ray.serving.settings import read_settings

    overrides = [f"replicas.least={options.actors}", f"replicas.most={options.actors}", *options.override]
    config = read_settings(options.run, options.system, overrides)
    if options.submit:
        command = [f"--actors={options.actors}", *(f"--override={one}" for one in options.override)]
        command += ["--verbose"] if options.verbose else []

        def pack(folder: Path) -> list[str]:
            return ["predict", *package(config, options.input, options.output, folder), *command]

        return submit(options, options.output.stem, pack)
    with _bar() as watch:
        facts = predict(config, options.input, options.output, watch, options.verbose)
    show(options, facts, lambda: f"{facts['rows']} inputs: {options.output}  {facts['outcomes']}")
    return 0


@contextmanager
def _bar() -> Iterator[Callable[[Any], None]]:
    """The function that moves a bar on standard error, which is there from the first move on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    task = bar.add_task("inputs", total=None)

    def move(progress: Any) -> None:
        bar.start()
        bar.update(task, completed=progress.done, total=progress.total)

    try:
        yield move
    finally:
        if bar.live.is_started:
            bar.stop()
