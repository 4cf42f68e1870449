"""Imports run one way through the package, and the command line starts without torch and Ray."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mckd_ray"

# From the bottom up: a part may import from the layers below its own.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("section", "storage"),
    ("search_config",),
    ("config", "records"),
    ("config_file",),
    ("tasks",),
    ("corpora",),
    ("evaluation", "student"),
    ("teacher",),
    ("plan",),
    ("runner",),
    ("report", "serving", "sweep"),
    ("commands",),
    ("cli",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
# An arrow that the layers alone would allow.
FORBIDDEN = {("teacher", "evaluation")}
# The libraries that are slow to import or tie a part to a machine, and where they may stand at all.
HEAVY = {
    "ray": {"runner", "sweep", "serving"},
    "torch": {"student", "teacher"},
    "transformers": {"student", "teacher"},
    "accelerate": {"student", "teacher"},
    "vllm": {"teacher"},
    "ctranslate2": {"student"},
    "obstore": {"storage"},
}


def imported(source: str, package: str) -> Iterator[str]:
    """The absolute names of all modules and names that a module of `package` imports, those in functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def arrows() -> Iterator[tuple[str, str, str]]:
    """(file, part of mckd_ray it belongs to, absolute name it imports) for every import in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        package = ".".join(["mckd_ray", *relative.parts[:-1]])
        for name in imported(path.read_text(encoding="utf-8"), package):
            yield str(relative), relative.parts[0].removesuffix(".py"), name


def allowed(importer: str, target: str) -> bool:
    """Whether one part of the package may import another."""
    return importer == target or (RANK[importer] > RANK[target] and (importer, target) not in FORBIDDEN)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new process in the root of the repository."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_imports_run_one_way() -> None:
    wrong = []
    for file, importer, name in arrows():
        top, _, below = name.partition(".")
        target = below.partition(".")[0]
        if top != "mckd_ray" or target in {"", "__version__"}:
            continue
        assert importer in RANK, f"{file}: place {importer!r} in LAYERS"
        assert target in RANK, f"{file}: imports {name}, which has no place in LAYERS"
        if not allowed(importer, target):
            wrong.append(f"{file} ({importer}) imports {name}")
    assert not wrong, "against the order of LAYERS:\n" + "\n".join(wrong)


def test_heavy_libraries_stay_in_their_parts() -> None:
    wrong = [
        f"{file} imports {name}; only {sorted(HEAVY[top])} may"
        for file, importer, name in arrows()
        if (top := name.partition(".")[0]) in HEAVY and importer not in HEAVY[top]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("level", ["from .. import config", "from ..config import load"])
def test_relative_imports_are_arrows_too(level: str) -> None:
    assert next(imported(level, "mckd_ray.plan")).startswith("mckd_ray.config")


@pytest.mark.parametrize(
    "module", ["mckd_ray", "mckd_ray.tasks", "mckd_ray.corpora", "mckd_ray.evaluation", "mckd_ray.plan"]
)
def test_light_parts_load_neither_torch_nor_ray(module: str) -> None:
    heavy = run(f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))")
    assert (heavy.returncode, heavy.stdout.strip(), heavy.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plan", "configs/demo.yaml"], ["sweep", "configs/sweep-demo.yaml", "--plan"]],
    ids=["help", "plan", "sweep --plan"],
)
def test_command_line_loads_neither_torch_nor_ray(arguments: list[str]) -> None:
    done = run(
        "import atexit, sys\n"
        f"atexit.register(lambda: print('heavy:', *sorted({set(HEAVY)!r} & set(sys.modules))))\n"
        "from mckd_ray.cli import main\n"
        "sys.exit(main())",
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
