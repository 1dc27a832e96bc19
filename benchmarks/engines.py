"""How fast is the compiled engine beside what else trains small dense networks on a CPU?

Seconds per model-epoch of plain SGD on 48,000 rows of 784 features. Every contestant has its own
process and all cores; they alternate, and a ratio is the median of side-by-side pairs. JAX comes
twice: 32 networks (8 of the wide ones) vmapped inside of a scan, and one process per core with one
network; it needs `pip install "jax[cpu]"` and is left out where that is missing.

`DOWNSLOPE_ISA=avx2` holds the rivals' libraries to AVX2 as well. `engines.py SHAPE BATCH [ROUNDS]`
compares over one row of the table alone, `engines.py rates` measures the shares alone.
"""

import importlib.util
import os
import statistics
import subprocess
import sys
from pathlib import Path

from downslope.engines import (
    cores,
    describe_engine,
    hardware,
    instruction_set,
    measure_rates,
    versions,
)

REPETITIONS = 5
SHAPES = [
    ("784-40-40-40-10", 8, False),
    ("784-40-40-40-10", 16, False),
    ("784-40-40-40-10", 128, False),
    ("784-256-256-256-256-10", 32, True),
    ("784-256-256-256-256-10", 128, True),
]
# What MKL, oneDNN, ATen, XLA and OpenBLAS read as they are loaded.
AVX2_ALONE = {
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
# What each row must reach beside a contestant, as the project has set itself.
TARGETS = {
    ("784-40-40-40-10", 16): {"dataloader": 45.0, "jax": 2.0},
    ("784-40-40-40-10", 128): {"dataloader": 13.0, "jax": 1.3},
}
# What useful arithmetic on one core must reach of torch's sgemm, by shape and batch size.
SHARES = {
    "784-40-40-40-10": {16: 0.75, 128: 0.80},
    "784-80-80-80-10": {16: 0.85, 128: 0.85},
    "784-256-256-256-256-10": {16: 0.85, 128: 0.92},
}


class Contestant:
    """One or several processes of `contestants.py` that train when told to."""

    def __init__(self, name: str, shape: str, batch_size: int, regularized: bool) -> None:
        alone = name == "jax-scan"  # one process per core, each with one thread
        program = str(Path(__file__).with_name("contestants.py"))
        command = [sys.executable, program, name, shape, str(batch_size), str(int(regularized))]
        available = sorted(os.sched_getaffinity(0))
        self.processes = []
        for i in range(cores() if alone else 1):
            self.processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True,
                )
            )  # fmt: skip
            if alone:
                os.sched_setaffinity(self.processes[-1].pid, {available[i]})
        if any(self._line(p) != "ready" for p in self.processes):
            raise SystemExit(f"{name}: did not start; run contestants.py by hand to see why")

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def seconds(self) -> float:
        """Train once; return seconds per model-epoch."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [self._line(process).split() for process in self.processes]
        return max(float(s) for s, _ in answers) / sum(int(n) for _, n in answers)

    def close(self) -> float:
        """End; return the peak memory of all processes in MiB."""
        total = 0.0
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            total += float(self._line(process))
            process.wait()
        return total


def compare(
    shape: str, batch_size: int, regularized: bool, names: list[str], rounds: int = REPETITIONS
) -> None:
    """Alternate the contestants over one shape and print a row for each."""
    # All are started before any is timed: the idle ones wait for a line and take no time.
    contestants = {n: Contestant(n, shape, batch_size, regularized) for n in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(contestant.seconds())
    ratios: dict[str, float] = {}
    for name, contestant in contestants.items():
        pairs = zip(times[name], times["downslope"], strict=True)
        ratios[name] = statistics.median(a / b for a, b in pairs)
        print(
            f"| {shape} | {batch_size} | {name} | {statistics.median(times[name]):.4f} | "
            f"{ratios[name]:.1f} | {contestant.close():,.0f} |",
            flush=True,
        )
    for rival, target in TARGETS.get((shape, batch_size), {}).items():
        rivals = [ratios[name] for name in ratios if name.startswith(rival)]
        if rivals and min(rivals) < target:
            print(f"MISSED: {min(rivals):.1f} times {rival} at batch {batch_size}, not {target}")


def compare_all(rows: list[tuple[str, int, bool]], rounds: int) -> None:
    """Print the table of the contestants."""
    rivals = ["dataloader", "indexed", "sklearn", "jax-vmap", "jax-scan"]
    if importlib.util.find_spec("jax") is None:
        print("JAX is not installed and left out")
        rivals = rivals[:3]
    print(f"{instruction_set()}, medians of {rounds} rounds:\n")
    print("| shape | batch | contestant | s per model-epoch | times slower | peak memory, MiB |")
    print("|---|---|---|---|---|---|")
    for shape, batch_size, regularized in rows:
        names = [n for n in rivals if n != "sklearn" or not regularized]
        compare(shape, batch_size, regularized, [*names, "downslope"], rounds)


def share_of_sgemm() -> None:
    """Print the table of the rates on one core."""
    print(f"{instruction_set()}, medians of 15 rounds:\n")
    print("| shape | batch | GFLOP/s on one core | of torch's sgemm | of the peak |")
    print("|---|---|---|---|---|")
    for shape, targets in SHARES.items():
        for batch_size, target in targets.items():
            r = measure_rates(tuple(map(int, shape.split("-"))), batch_size, repetitions=15)
            print(
                f"| {shape} | {batch_size} | {r.engine / 1e9:.0f} | {r.engine / r.sgemm:.0%} | "
                f"{r.engine / r.peak:.0%} |",
                flush=True,
            )
            if r.engine / r.sgemm < target:
                print(f"MISSED: {r.engine / r.sgemm:.0%} of the sgemm rate, not {target:.0%}")


def main() -> None:
    if instruction_set() == "avx2" and "MKL_ENABLE_INSTRUCTIONS" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | AVX2_ALONE)
    print(hardware(), versions(), describe_engine(), sep="\n")
    only = sys.argv[1:]
    if only != ["rates"]:
        rows = [row for row in SHAPES if not only or [row[0], str(row[1])] == only[:2]]
        compare_all(rows, int(only[2]) if only[2:] else REPETITIONS)
    if only in ([], ["rates"]):
        share_of_sgemm()


if __name__ == "__main__":
    main()
