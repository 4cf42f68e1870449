"""Time, GPU hours and money of a run for 20,000, 1M and 100M inputs, and what saturates first.

    python benchmarks/scaling.py [--quick] [--json FILE]

Measured here: what each kind of step costs in one process for each input, in time and memory, and what the driver
needs. Assumed, as there is no GPU: the speeds of docs/cluster.md. From both, the graph of the paper's experiment is run
in simulated time for clusters of several sizes; one of them is held against the runner itself on nodes that Ray
simulates. --quick measures smaller pools.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from common import Claims, arguments, machine
from scaling_check import seconds_on_ray
from scaling_costs import Cost, measure
from scaling_model import HOUR, Cluster, Outcome, Speeds, Work, graph, simulate, work_of

POOLS = (20_000, 1_000_000, 100_000_000)
CLUSTERS = (Cluster(1, 2), Cluster(2, 4), Cluster(8, 16), Cluster(64, 128))
CHECKED = CLUSTERS[1]
CHECK_S = 60.0
"""How long the check on simulated nodes takes: what takes hours is scaled down to it."""
PRICES = {"teacher": 1.86, "student": 0.80}
"""Assumed, of an hour of a GPU with its node (L40S, L4), in dollars."""
GIB = 2**30
MOST_DRIVER = 1.0
MOST_GROWTH = 16.0
"""Bytes of the driver's memory for each further input: of a pool of 1M, less than a fluctuation."""
MOST_ERROR = 1.25


@dataclass(frozen=True)
class Line:
    """Memory or seconds of a process against the inputs: a fixed part, and one for each."""

    fixed: float
    each: float

    @classmethod
    def through(cls, few: tuple[int, float], many: tuple[int, float]) -> "Line":
        """From two measurements."""
        each = max(0.0, (many[1] - few[1]) / (many[0] - few[0]))
        return cls(max(0.0, few[1] - each * few[0]), each)


def lines(sizes: tuple[int, int]) -> tuple[dict[str, Line], dict[str, Line]]:
    """Seconds and memory of each kind of step, and memory of the driver, from pools of two sizes."""
    few, many = sizes
    (driver, costs), (large_driver, large_costs) = measure(few), measure(many)
    costs, large_costs = {**costs, "driver": Cost(0, driver)}, {**large_costs, "driver": Cost(0, large_driver)}
    seconds = {kind: Line.through((few, costs[kind].seconds), (many, large_costs[kind].seconds)) for kind in costs}
    memory = {kind: Line.through((few, costs[kind].memory), (many, large_costs[kind].memory)) for kind in costs}
    return seconds, memory


def plan_work(rows: int, cluster: Cluster, seconds: Mapping[str, Line]) -> dict[str, Work]:
    """The work of each step of the experiment, by digest."""
    cpu = {kind: line.each for kind, line in seconds.items()}
    return {step.digest: work_of(step, rows, cluster, Speeds(), cpu) for step in graph(rows)}


def row_of(rows: int, cluster: Cluster, outcome: Outcome) -> str:
    """A row of the table. Teachers' GPUs are paid for while they answer, students' for the rest of the time."""
    teacher = cluster.replicas * outcome.busy["teacher"] / HOUR
    students = cluster.students * (outcome.seconds - outcome.busy["teacher"]) / HOUR
    money = teacher * PRICES["teacher"] + students * PRICES["student"]
    hours = [f"{value:,.1f}" for value in (outcome.seconds / HOUR, teacher, students)]
    cells = [f"{rows:,}", cluster.replicas, cluster.students, *hours, f"{money:,.0f}", outcome.bottleneck]
    return f"| {' | '.join(map(str, cells))} |"


def check(seconds: Mapping[str, Line]) -> float:
    """Seconds of the runner on simulated nodes, over those of the model."""
    rows, cluster = POOLS[0], CHECKED
    work, steps = plan_work(rows, cluster, seconds), graph(rows)
    scale = CHECK_S / simulate(steps, work, cluster.runs).seconds
    small = {key: Work(one.start * scale, one.tables * scale, one.shared * scale) for key, one in work.items()}
    return seconds_on_ray(steps, small, cluster) / simulate(steps, small, cluster.runs).seconds


def main() -> int:
    """Measure, simulate, and print the tables; 0 if the driver stays small and the model is right about Ray."""
    options = arguments("Time and money against the size of pool and cluster.").parse_args()
    claims = Claims("scaling")
    sizes = (2_000, 20_000) if options.quick else (20_000, 200_000)
    seconds, memory = lines(sizes)

    sizes_shown = " | at ".join(f"{rows:,}" for rows in POOLS)
    print(f"| a process of | microseconds an input | bytes an input | GiB at {sizes_shown} |")
    print("|---|---|---|---|---|---|")
    for kind, line in memory.items():
        at = " | ".join(f"{(line.fixed + line.each * rows) / GIB:,.1f}" for rows in POOLS)
        print(f"| {kind} | {1e6 * seconds[kind].each:,.0f} | {line.each:,.0f} | {at} |")
    print("\n| inputs | replicas | student GPUs | hours | GPU hours, teacher | students | dollars | most of the time |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in POOLS:
        steps = graph(rows)
        for cluster in CLUSTERS:
            outcome = simulate(steps, plan_work(rows, cluster, seconds), cluster.runs)
            print(row_of(rows, cluster, outcome), flush=True)

    driver = memory["driver"]
    claims.add("driver's memory for a pool of 1M", (driver.fixed + driver.each * 10**6) / GIB, "<=", MOST_DRIVER, "GiB")
    claims.add("driver's memory for each further input", driver.each, "<=", MOST_GROWTH, "bytes")
    ratio = check(seconds)
    claims.add("Ray on simulated nodes against the model", max(ratio, 1 / ratio), "<=", MOST_ERROR, "x")
    print(f"\n{machine()}")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
