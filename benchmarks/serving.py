"""The endpoint against the baseline that a user would write, under kills and an update, and (`--soak`) for long.

    python benchmarks/serving.py [--quick] [--json FILE] [--soak MINUTES [--rate N]]

Both serve the same sequence-to-sequence student, of t5-small's size, with one thread a process. Its weights are random,
and it costs what a real one does: its vocabulary knows the words that it is asked about, so that it reads about a piece
a word, and what it writes is constrained to legal trees, so that it has the length of a real answer. The load generator
is a process of its own, on the same machine. The baseline is FastAPI and `model.generate`, one request at a time; it
writes freely, and as many pieces as ours.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
from common import Claims, arguments, machine
from serving_processes import sentences

from mckd_ray.config import ScratchConfig, StudentConfig, TrainingConfig
from mckd_ray.records import Example, TrainingRow, write_rows
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.seq2seq import Seq2Seq

PROCESSES = Path(__file__).with_name("serving_processes.py")
CLIENTS = (1, 8, 32, 64)
PORT = 8770
KILLS = 3
SAMPLE_S = 5.0
"""How often memory is looked at."""


@dataclass(frozen=True)
class Measured:
    """What a load gave: answers a second, latencies in ms, failures, and which models answered."""

    rate: float
    p50: float
    p95: float
    p99: float
    failures: list[str]
    models: list[str]


def student(folder: Path, seed: int, quick: bool) -> Path:
    """A student that has seen a step of training; `quick`: a smaller one."""
    sizes = ScratchConfig(width=128, layers=2) if quick else ScratchConfig(width=512, layers=6, heads=8)
    tokens = ("the", "cat", "sleeps", "near", "a", "house")
    tree = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps) (PP (IN near) (NP (DT a) (NN house)))))"
    folder.mkdir()
    write_rows(folder / "rows.parquet", TrainingRow, [TrainingRow("1", tokens, "", tree)])
    raw = [Example(str(number), tuple(some)) for number, some in enumerate(sentences())]
    write_rows(folder / "raw.parquet", Example, raw)
    job = TrainingJob(
        task="constituency",
        student=StudentConfig(kind="seq2seq", linearisation="tags", scratch=sizes),
        training=TrainingConfig(steps=1, batch_size=1),
        objective="supervised",
        rows=folder / "rows.parquet",
        raw_text=folder / "raw.parquet",
        init=None,
        seed=seed,
        workers=1,
        accumulate=1,
        work=folder / "work",
    )
    trainer = Seq2Seq().trainer(job)
    trainer.train()
    Seq2Seq().save(trainer, job, folder / "model")
    return folder / "model"


def start_load(url: str, clients: int, seconds: float, rate: float = math.inf) -> "subprocess.Popen[str]":
    """The load generator, running; `rate`: most requests a second."""
    command = [sys.executable, str(PROCESSES), "load", url, str(clients), str(seconds), str(rate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measured(load: "subprocess.Popen[str]") -> Measured:
    """What the load generator says at its end."""
    output, _ = load.communicate()
    said = json.loads(output)
    ordered = sorted(1000 * value for value in said["latencies"]) or [float("nan")]
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95, 0.99))
    return Measured(len(said["latencies"]) / said["seconds"], p50, p95, p99, said["failures"], said["models"])


@contextmanager
def server(*command: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A server in a process of its own, from its first answer to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with {process.returncode}")
            try:
                if httpx2.post(f"http://127.0.0.1:{port}/v1/parse", json={"tokens": ["a"]}, timeout=60).is_success:
                    break
            except httpx2.HTTPError:
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def ours(model: Path, port: int, *options: str) -> Any:
    """`mckd serve` of the model."""
    command = ["-m", "mckd_ray.cli", "serve", str(model), "--port", str(port), "-o", "access_log=/dev/null", *options]
    return server(*command, port=port)


def sweep(name: str, port: int, seconds: float) -> dict[int, Measured]:
    """Measure one server with each number of clients, and print a line for each."""
    found = {}
    for clients in CLIENTS:
        found[clients] = one = measured(start_load(f"http://127.0.0.1:{port}", clients, seconds))
        times = f"{one.p50:9.1f}{one.p95:9.1f}{one.p99:9.1f}"
        print(f"{name:10}{clients:8}{one.rate:10.1f}{times}{len(one.failures):10}", flush=True)
    return found


def disturbed(folder: Path, models: tuple[Path, Path], port: int, seconds: float) -> Measured:
    """32 clients while a replica is killed three times, and all are exchanged for another model in the middle."""
    link = folder / "served"
    link.symlink_to(models[0])
    with ours(link, port, "--replicas", "2") as process:
        load = start_load(f"http://127.0.0.1:{port}", 32, seconds)
        for number in range(KILLS + 1):
            time.sleep(seconds / (KILLS + 2))
            if number == KILLS // 2:
                link.unlink()
                link.symlink_to(models[1])
                process.send_signal(signal.SIGHUP)
            else:
                os.kill(replicas(process.pid, "ServeReplica:mckd:model")[0].pid, signal.SIGKILL)
        return measured(load)


def replicas(pid: int, title: str) -> list[psutil.Process]:
    """The processes below `pid` with this title."""
    return [child for child in psutil.Process(pid).children(recursive=True) if title in " ".join(child.cmdline())]


def soaked(model: Path, port: int, minutes: float, rate: float) -> tuple[float, float, Measured]:
    """Memory of all of Serve's processes in MiB: medians over the second and the last quarter of the time; the load."""
    sizes = []
    with ours(model, port) as process, ThreadPoolExecutor(1) as pool:
        load = pool.submit(measured, start_load(f"http://127.0.0.1:{port}", 8, 60 * minutes, rate))
        while not load.done():
            sizes.append(sum(one.memory_full_info().uss for one in replicas(process.pid, "ray::")) / 2**20)
            print(f"{len(sizes) * SAMPLE_S / 60:6.1f} min {sizes[-1]:8.0f} MiB", flush=True)
            time.sleep(SAMPLE_S)
    quarter = max(1, len(sizes) // 4)
    return statistics.median(sizes[quarter : 2 * quarter] or sizes), statistics.median(sizes[-quarter:]), load.result()


def main() -> int:
    """Measure; 0 if all claims hold."""
    parser = arguments("Throughput and latency of the endpoint, and what disturbances cost.")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only load it for so long, and watch its memory")
    parser.add_argument("--rate", type=float, default=math.inf, metavar="N", help="--soak: most requests a second")
    options = parser.parse_args()
    seconds = 5.0 if options.quick else 60.0
    facts, claims = machine(), Claims("serving")
    print(f"{facts['cpu']}, {facts['cores']} cores, load average {os.getloadavg()[0]:.1f}; {seconds:g} s each")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = tuple(student(folder / str(seed), seed, options.quick) for seed in (1, 2))
        model = models[0]
        if options.soak:
            before, after, load = soaked(model, PORT, options.soak, options.rate)
            print(f"memory: {before:.0f} MiB, then {after:.0f} MiB, at {load.rate:.1f} answers a second")
            claims.add("growth of memory under load", 100 * (after / before - 1), "<=", 5, "%")
            claims.add("failed requests", len(load.failures), "<=", 0, "requests")
            return claims.finish(options.json)
        print(f"{'':10}{'clients':>8}{'answers/s':>10}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'failed':>10}")
        with server(str(PROCESSES), "baseline", str(model), str(PORT), port=PORT):
            plain = sweep("baseline", PORT, seconds)
        started = time.perf_counter()
        with ours(model, PORT + 1):
            claims.add("from the command to the first answer", time.perf_counter() - started, "<=", 30)
            served = sweep("ours", PORT + 1, seconds)
        with server(str(PROCESSES), "echo", str(model), str(PORT + 2), port=PORT + 2):
            sweep("echo", PORT + 2, seconds)
        rough = disturbed(folder, (models[0], models[1]), PORT + 3, 4 * seconds if options.quick else seconds)
    claims.add("throughput over the baseline's, 32 clients", served[32].rate / plain[32].rate, ">=", 4, "x")
    claims.add("p50 over the baseline's, 1 client", served[1].p50 / plain[1].p50, "<=", 1.3, "x")
    claims.add(
        "failed requests without a disturbance", sum(len(m.failures) for m in served.values()), "<=", 0, "requests"
    )
    claims.add("failed requests, 3 kills and an update", len(rough.failures), "<=", 0, "requests")
    claims.add("models that answered during the update", len(rough.models), ">=", 2, "models")
    for failure in rough.failures[:3]:
        print(failure)
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
