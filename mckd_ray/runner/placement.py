"""Where the processes of a run are put: what each of them asks Ray for, and whether the cluster can ever hold them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mckd_ray.config import LabellingResources, NodeGroup, ResourcesConfig, StudentResources, TeacherResources
from mckd_ray.errors import ResourceError

GIB = 2**30
TRIAL_CPUS = 0.01
"""What the driver of a sweep's trial takes: it only waits, but Ray Tune refuses 0."""
_ACCELERATOR = "accelerator_type:"
"""Begins the name of a Ray resource, of which a node with the accelerator has 1."""
_SHARE = 0.001
"""How much of it Ray reserves for a process that wants the accelerator."""
_ADVICE = "ask for less, or name what the cluster may grow by in resources.autoscaling."
Role = StudentResources | LabellingResources | TeacherResources


def actor_options(role: Role) -> dict[str, Any]:
    """Ray's options for an actor of this role."""
    return {
        "num_cpus": role.cpus,
        "num_gpus": role.gpus,
        "memory": int(role.memory_gib * GIB) or None,
        "accelerator_type": role.accelerator_type,
        "label_selector": dict(role.labels) or None,
    }


def worker_resources(role: StudentResources) -> dict[str, float]:
    """What Ray Train reserves for one worker, by the resource's name."""
    wanted = {"CPU": role.cpus, "GPU": role.gpus, "memory": int(role.memory_gib * GIB)}
    return {kind: amount for kind, amount in wanted.items() if amount}


@dataclass(frozen=True)
class Node:
    """A node of the cluster, or `count` of a kind that it may start."""

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    count: int = 1

    def holds(self, want: "Want") -> int:
        """How many of what is wanted there is room for, if nothing else is there."""
        if any(self.labels.get(key) != value for key, value in want.labels.items()):
            return 0
        room = [self.resources.get(kind, 0) / amount for kind, amount in want.resources.items() if amount]
        # Amounts such as 0.1 are no exact binary fractions, so ten of them may seem not to fit into 1.
        return self.count * min((int(share + 1e-9) for share in room), default=want.count)


@dataclass(frozen=True)
class Want:
    """So many equal processes of a run."""

    what: str
    key: str
    """The section of the config that asks for them."""
    count: int
    resources: Mapping[str, float]
    """What each takes."""
    labels: Mapping[str, str]

    def __str__(self) -> str:
        """For a message."""
        parts = [_amount(kind, amount) for kind, amount in self.resources.items() if amount]
        parts += [f"the label {key}={value}" for key, value in self.labels.items()]
        return f"{self.count} {self.what} ({self.key}), each with {', '.join(parts)}"


def _amount(kind: str, amount: float) -> str:
    if kind == "memory":
        return f"{round(amount / GIB, 1):g} GiB of memory"
    accelerator = kind.removeprefix(_ACCELERATOR)
    return f"{amount:g} {kind}{'s' * (amount != 1)}" if accelerator == kind else f"an accelerator {accelerator}"


def wants(resources: ResourcesConfig, asking: bool, trials: int = 0) -> list[Sequence[Want]]:
    """Groups of what must be there at the same time. `asking`: there is a prompted teacher; `trials`: of a sweep."""
    drivers = [Want("drivers of trials", "search.concurrent", trials, {"CPU": TRIAL_CPUS}, {})] if trials else []
    groups: list[Sequence[Want]] = [[*_students(resources), *drivers]]
    if asking:
        groups.append([*_engines(resources), *drivers])
    return groups


def _students(resources: ResourcesConfig) -> list[Want]:
    labelling = resources.labelling
    return [
        _workers(resources.student),
        _want("actors of the labelling steps", "resources.labelling", labelling.actors, labelling),
    ]


def _workers(student: StudentResources) -> Want:
    return _want("workers of a training step", "resources.student", student.workers, student)


def _engines(resources: ResourcesConfig) -> list[Want]:
    teacher = resources.teacher
    return [_want("engines of the teacher's step", "resources.teacher", teacher.replicas, teacher)]


def _want(what: str, key: str, count: int, role: Role) -> Want:
    resources = {"CPU": role.cpus, "GPU": role.gpus, "memory": role.memory_gib * GIB}
    if role.accelerator_type:
        resources[f"{_ACCELERATOR}{role.accelerator_type}"] = _SHARE
    return Want(what, key, count, resources, role.labels)


def nodes_of(groups: Iterable[NodeGroup]) -> list[Node]:
    """What a cluster may grow by, as nodes."""
    return [_node_of(group) for group in groups]


def _node_of(group: NodeGroup) -> Node:
    resources = {"CPU": group.cpus, "GPU": group.gpus, "memory": group.memory_gib * GIB}
    if group.accelerator_type:
        resources[f"{_ACCELERATOR}{group.accelerator_type}"] = 1
    return Node(resources, group.labels, group.most)


def check_placement(groups: Iterable[Sequence[Want]], nodes: Sequence[Node]) -> None:
    """Raise ResourceError, with one sentence, for the first thing that `nodes` can never hold.

    Each want alone must fit, node by node; those of a group also together, in sum. What passes may still be too much
    for an unlucky mix of nodes; what is refused would have Ray wait for ever.
    """
    for group in groups:
        for want in group:
            room = sum(node.holds(want) for node in nodes)
            if room < want.count:
                raise ResourceError(f"the run wants {want}; there is room for {room} ({shown(nodes)}); {_ADVICE}")
        for kind in ("CPU", "GPU", "memory"):
            wanted = sum(want.count * want.resources.get(kind, 0) for want in group)
            have = sum(node.count * node.resources.get(kind, 0) for node in nodes)
            if wanted > have + 1e-9:
                together = " and ".join(f"{want.count} {want.what} ({want.key})" for want in group)
                raise ResourceError(
                    f"the run wants {_amount(kind, wanted)} for {together} at once; the cluster has "
                    f"{_amount(kind, have)} ({shown(nodes)}); {_ADVICE}"
                )


def room_for_training(student: StudentResources, nodes: Sequence[Node]) -> int:
    """How many training runs there is room for on `nodes`, if nothing else is there."""
    return sum(node.holds(_workers(student)) for node in nodes) // student.workers


def room_beside(resources: ResourcesConfig, nodes: Sequence[Node]) -> bool:
    """Whether the engines of the teacher fit beside the labelling actors and a training run."""
    try:
        check_placement([[*_students(resources), *_engines(resources)]], nodes)
    except ResourceError:
        return False
    return True


def shown(nodes: Sequence[Node]) -> str:
    """Nodes for people, equal ones together."""
    counts: dict[str, int] = {}
    for node in nodes:
        kinds = {kind: node.resources.get(kind, 0) for kind in ("CPU", "GPU", "memory")}
        parts = [_amount(kind, amount) for kind, amount in kinds.items() if amount]
        parts += [_amount(kind, 1) for kind in node.resources if kind.startswith(_ACCELERATOR)]
        parts += [f"{key}={value}" for key, value in node.labels.items() if not key.startswith("ray.io/")]
        text = ", ".join(parts) or "nothing"
        counts[text] = counts.get(text, 0) + node.count
    return " + ".join(f"{count} x [{text}]" for text, count in counts.items()) or "no nodes"
