"""The files under cluster/ are what the tools that read them take: Ray's launcher, Kubernetes, KubeRay, Docker ..."""

import copy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

CLUSTER = Path(__file__).resolve().parent.parent / "cluster"
LAUNCHER = [CLUSTER / "aws.yaml", CLUSTER / "gcp.yaml"]
KUBERNETES = sorted((CLUSTER / "kubernetes").glob("*.yaml"))
DOCKERFILES = sorted(CLUSTER.glob("Dockerfile*"))
SCRIPTS = sorted([*CLUSTER.glob("*.sh"), *CLUSTER.glob("*.sbatch")])
KUBERNETES_VERSION = "1.37"

# No registry that tests can use has KubeRay's own schemas, so this is the part of them that the files may use, from the
# API of ray.io/v1 as of KubeRay 1.6. Pods inside are checked by the schemas of Kubernetes, worker groups by Ray itself.
CLUSTER_KEYS = {
    "rayVersion": str,
    "authOptions": dict,
    "enableInTreeAutoscaling": bool,
    "autoscalerOptions": dict,
    "headGroupSpec": dict,
    "workerGroupSpecs": list,
}
SPEC_KEYS: dict[str, dict[str, type]] = {
    "RayCluster": CLUSTER_KEYS,
    "RayJob": {
        "entrypoint": str,
        "backoffLimit": int,
        "shutdownAfterJobFinishes": bool,
        "ttlSecondsAfterFinished": int,
        "rayClusterSpec": dict,
    },
    "RayService": {"serveConfigV2": str, "rayClusterConfig": dict},
}
HEAD_KEYS = {"rayStartParams": dict, "template": dict}
GROUP_KEYS = {
    **HEAD_KEYS,
    "groupName": str,
    "replicas": int,
    "minReplicas": int,
    "maxReplicas": int,
    "labels": dict,
}


def read(path: Path) -> dict[str, Any]:
    """A file with one YAML document."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def tool(name: str) -> str:
    """A command line tool of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed: make install-dev"
    return found


@pytest.mark.parametrize("path", LAUNCHER, ids=lambda path: path.name)
def test_launcher_files_are_what_ray_up_takes(path: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(read(path))
    validate_config(config)
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert "GPU" not in head["resources"]
    assert set(types) == {"teacher", "student"}
    for name, group in types.items():
        assert group["min_workers"] == 0
        assert group["resources"]["GPU"] >= 1
        assert group["labels"] == {"mckd": name}
    assert sum(group["max_workers"] for group in types.values()) <= config["max_workers"]
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert any("--dashboard-host=127.0.0.1" in command for command in config["head_start_ray_commands"])


def test_the_launchers_schema_refuses_a_mistake() -> None:
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(read(LAUNCHER[0]))
    config["idle_timeout_minutess"] = 5
    with pytest.raises(ValidationError, match="idle_timeout_minutess"):
        validate_config(config)


def ray_clusters() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, spec of the Ray cluster in it)."""
    for path in KUBERNETES:
        document = read(path)
        if document["kind"] in SPEC_KEYS:
            spec = document["spec"]
            yield path.name, spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec


CLUSTERS = dict(ray_clusters())


def check_keys(section: Mapping[str, Any], keys: Mapping[str, type]) -> None:
    for key, value in section.items():
        assert key in keys, f"unknown key {key}; known: {sorted(keys)}"
        assert isinstance(value, keys[key]), f"{key} is {value!r}, no {keys[key].__name__}"


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_kubernetes_files_have_the_right_shape(path: Path) -> None:
    document = read(path)
    if document["kind"] in SPEC_KEYS:
        assert document["apiVersion"] == "ray.io/v1"
        check_keys(document["spec"], SPEC_KEYS[document["kind"]])
    else:
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_clusters_on_kubernetes_are_what_kuberay_and_its_autoscaler_take(name: str) -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    spec = CLUSTERS[name]
    check_keys(spec, CLUSTER_KEYS)
    check_keys(spec["headGroupSpec"], HEAD_KEYS)
    for group in spec["workerGroupSpecs"]:
        check_keys(group, GROUP_KEYS)
    assert spec["rayVersion"] == metadata.version("ray")
    assert spec["authOptions"] == {"mode": "token"}
    resource = {"metadata": {"name": name, "namespace": "default"}, "spec": copy.deepcopy(spec)}
    types = _derive_autoscaling_config_from_ray_cr(resource)["available_node_types"]  # Validates it, too.
    assert types["headgroup"]["resources"]["CPU"] == 0
    for group in ("teacher", "student") if name != "rayservice.yaml" else ():
        assert types[group]["resources"]["GPU"] == 1
        assert types[group]["min_workers"] == 0
        assert types[group]["labels"] == {"mckd": group}


@pytest.mark.parametrize("name", CLUSTERS)
def test_pods_are_what_kubernetes_takes(name: str) -> None:
    spec = CLUSTERS[name]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": pod}
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["volumes"] == [{"name": "shared", "persistentVolumeClaim": {"claimName": "mckd-store"}}]
        broken = copy.deepcopy(document)
        broken["spec"]["containers"][0]["volumeMount"] = []
        with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
            kubernetes_validate.validate(broken, KUBERNETES_VERSION, strict=True)


def test_a_job_and_a_cluster_that_stays_have_the_same_nodes() -> None:
    assert CLUSTERS["rayjob.yaml"] == CLUSTERS["raycluster.yaml"]


def test_the_service_is_a_serve_config() -> None:
    from ray.serve.schema import ServeDeploySchema

    (application,) = ServeDeploySchema.model_validate(
        yaml.safe_load(read(CLUSTER / "kubernetes" / "rayservice.yaml")["spec"]["serveConfigV2"])
    ).applications
    assert application.args["token"] is True


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(path: Path) -> None:
    done = subprocess.run([tool("shellcheck"), path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_pass_hadolint(path: Path) -> None:
    done = subprocess.run([tool("hadolint"), path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    text = path.read_text(encoding="utf-8")
    assert "HEALTHCHECK" in text
    assert "\nUSER 1000\n" in text


@pytest.mark.parametrize(
    "path", [*LAUNCHER, *KUBERNETES, *DOCKERFILES, *SCRIPTS], ids=lambda path: str(path.relative_to(CLUSTER))
)
def test_each_file_says_what_it_is_for_and_how_it_is_started_and_stopped(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#!")]
    head = lines[:3]
    assert all(line.startswith("# ") for line in head), head
    assert any(word in " ".join(head) for word in ("Start:", "Build:"))


def test_slurm_says_how_it_is_used() -> None:
    done = subprocess.run(["bash", CLUSTER / "slurm.sbatch"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage: sbatch cluster/slurm.sbatch CONFIG" in done.stderr
