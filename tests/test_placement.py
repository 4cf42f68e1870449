"""What a cluster can never hold is refused in one sentence, before anything starts."""

import pytest

from mckd_ray.config import LabellingResources, NodeGroup, ResourcesConfig, StudentResources, TeacherResources
from mckd_ray.errors import ResourceError
from mckd_ray.runner.placement import (
    GIB,
    Node,
    actor_options,
    check_placement,
    nodes_of,
    room_beside,
    room_for_training,
    wants,
    worker_resources,
)

LAPTOP = Node({"CPU": 4, "memory": 8 * GIB})
GPU_NODE = Node({"CPU": 8, "GPU": 1, "memory": 32 * GIB, "accelerator_type:L4": 1}, {"mckd": "student"})


def check(resources: ResourcesConfig, *nodes: Node, asking: bool = False) -> None:
    check_placement(wants(resources, asking), [*nodes, *nodes_of(resources.autoscaling.values())])


def refusal(resources: ResourcesConfig, *nodes: Node, asking: bool = False) -> str:
    with pytest.raises(ResourceError) as caught:
        check(resources, *nodes, asking=asking)
    return str(caught.value)


def test_the_defaults_fit_on_a_laptop() -> None:
    check(ResourcesConfig(), LAPTOP, asking=True)


def test_a_refusal_names_the_step_what_it_wants_and_what_there_is() -> None:
    said = refusal(ResourcesConfig(student=StudentResources(workers=2, gpus=1)), LAPTOP, GPU_NODE)
    assert "2 workers of a training step (resources.student), each with 1 CPU, 1 GPU" in said
    assert "room for 1" in said
    assert "1 x [4 CPUs, 8 GiB of memory]" in said
    assert "1 x [8 CPUs, 1 GPU, 32 GiB of memory, an accelerator L4, mckd=student]" in said
    assert said.count("\n") == 0


def test_a_process_must_fit_on_one_node_not_on_the_sum_of_them() -> None:
    resources = ResourcesConfig(teacher=TeacherResources(gpus=2))
    assert "engines of the teacher's step" in refusal(resources, GPU_NODE, GPU_NODE, asking=True)
    check(resources, GPU_NODE, GPU_NODE)  # Nobody asks a teacher, so its engines are not wanted.


def test_what_runs_at_once_must_fit_together() -> None:
    student, labelling = StudentResources(workers=2, gpus=1), LabellingResources(actors=1, gpus=1)
    said = refusal(ResourcesConfig(student=student, labelling=labelling), GPU_NODE, GPU_NODE)
    assert "3 GPUs" in said
    assert "the cluster has 2 GPUs" in said


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"accelerator_type": "H100"}, "an accelerator H100"),
        ({"labels": {"mckd": "teacher"}}, "the label mckd=teacher"),
        ({"memory_gib": 64}, "64 GiB of memory"),
    ],
)
def test_accelerators_labels_and_memory_count(asked: dict[str, object], words: str) -> None:
    assert words in refusal(ResourcesConfig(student=StudentResources.model_validate(asked)), GPU_NODE)
    matching = {"accelerator_type": "L4", "labels": {"mckd": "student"}, "memory_gib": 16}
    check(ResourcesConfig(student=StudentResources.model_validate(matching)), GPU_NODE, LAPTOP)


def test_what_the_cluster_may_grow_by_counts() -> None:
    student = StudentResources(workers=3, gpus=1, accelerator_type="L4")
    refusal(ResourcesConfig(student=student), LAPTOP)
    group = NodeGroup(most=3, cpus=4, gpus=1, accelerator_type="L4")
    check(ResourcesConfig(student=student, autoscaling={"students": group}), LAPTOP)


def test_tenths_of_a_cpu_add_up() -> None:
    check(ResourcesConfig(labelling=LabellingResources(actors=30, cpus=0.1)), LAPTOP)


def test_an_actor_asks_ray_for_what_is_counted() -> None:
    options = actor_options(TeacherResources(gpus=1, accelerator_type="L4", labels={"mckd": "teacher"}, memory_gib=2))
    assert options == {
        "num_cpus": 1,
        "num_gpus": 1,
        "memory": 2 * GIB,
        "accelerator_type": "L4",
        "label_selector": {"mckd": "teacher"},
    }
    assert actor_options(TeacherResources())["label_selector"] is None


@pytest.mark.parametrize(
    "asked", [{}, {"gpus": 1, "accelerator_type": "L4", "labels": {"mckd": "student"}, "memory_gib": 1.5}]
)
def test_ray_takes_what_is_asked_of_it(asked: dict[str, object]) -> None:
    import ray
    from ray.train import ScalingConfig

    role = StudentResources.model_validate(asked)
    ray.remote(type("Actor", (), {})).options(**actor_options(role))  # Raises ValueError for what it does not know.
    scaling = ScalingConfig(
        num_workers=2,
        use_gpu=role.gpus > 0,
        resources_per_worker=worker_resources(role),
        accelerator_type=role.accelerator_type,
        label_selector=dict(role.labels) or None,  # type: ignore[call-arg]
    )
    assert scaling.total_resources["CPU"] == 2


def test_the_drivers_of_a_sweeps_trials_count() -> None:
    node = Node({"CPU": 2})
    check_placement(wants(ResourcesConfig(), asking=False), [node])
    with pytest.raises(ResourceError, match=r"drivers of trials \(search.concurrent\)"):
        check_placement(wants(ResourcesConfig(), asking=False, trials=1), [node])


def test_students_train_side_by_side_as_far_as_nodes_have_room() -> None:
    two_workers = StudentResources(workers=2, gpus=1)
    assert room_for_training(two_workers, [GPU_NODE] * 5) == 2
    assert room_for_training(two_workers, [GPU_NODE]) == 0
    assert room_for_training(StudentResources(cpus=2), [LAPTOP]) == 2


def test_teacher_and_students_take_turns_on_one_gpu() -> None:
    resources = ResourcesConfig(teacher=TeacherResources(gpus=1), labelling=LabellingResources(gpus=1))
    assert not room_beside(resources, [GPU_NODE])
    assert room_beside(resources, [GPU_NODE, GPU_NODE])
