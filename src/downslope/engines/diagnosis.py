"""What engine runs here and how near it comes to the processor's limit."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import torch

from downslope.engines.native import MISSING, instruction_set, instruction_sets, make_core
from downslope.engines.population import cores
from downslope.engines.pytorch import one_thread
from downslope.networks import Member, NetworkSpec, TrainingSpec, build, flatten


def describe_engine() -> dict[str, str]:
    """Name the engine and its instruction set, with its measured share of the sgemm rate.

    Takes about a second. The share is that of one core, training 784-40-40-40-10 at batch 128,
    against a product of 1,000 x 1,000 matrices in torch, alternating.
    """
    if not instruction_sets():
        return {"engine": f"pytorch; {MISSING}"}
    share, rate = measure_share()
    return {
        "engine": f"native, {cores()} members at a time",
        "instruction set": f"{instruction_set()} of {', '.join(instruction_sets())}",
        "arithmetic": f"{rate / 1e9:.0f} GFLOP/s per core, {share:.0%} of torch's sgemm",
    }


def measure_share(
    widths: tuple[int, ...] = (784, 40, 40, 40, 10), batch_size: int = 128, repetitions: int = 5
) -> tuple[float, float]:
    """Measure the compiled engine on one core beside sgemm.

    Args:
        widths: of the network that is trained.
        batch_size: of its minibatches.
        repetitions: pairs of measurements, of which the medians are returned.

    Returns:
        The share of torch's single-precision matrix product rate, and the engine's rate in useful
        floating-point operations per second (4 per weight and example in the first layer, whose
        inputs need no gradient, 6 elsewhere).
    """
    rows = 4096
    member = Member(
        network=NetworkSpec(widths=widths), training=TrainingSpec(batch_size=batch_size), seed=0
    )
    core = make_core(member, instruction_set())
    core.parameters = flatten(build(member.network, torch.Generator()))
    inputs = np.random.default_rng(0).random((rows, widths[0]), dtype=np.float32)
    classes = np.arange(rows) % widths[-1]
    order = np.random.default_rng(1).permutation(rows)
    rates = np.full(-(-rows // batch_size), 0.01)
    weights = [a * b for a, b in pairwise(widths)]
    work = rows * (4 * weights[0] + 6 * sum(weights[1:]))
    size = 1000
    left, right = torch.ones(size, size), torch.ones(size, size)
    shares: list[float] = []
    speeds: list[float] = []
    with one_thread():
        for _ in range(repetitions + 1):  # the first warms up
            start = time.perf_counter()
            for _ in range(4):
                torch.mm(left, right)
            sgemm = 4 * 2 * size**3 / (time.perf_counter() - start)
            start = time.perf_counter()
            core.train(inputs, classes, order, rates)
            speeds.append(work / (time.perf_counter() - start))
            shares.append(speeds[-1] / sgemm)
    return float(np.median(shares[1:])), float(np.median(speeds[1:]))
