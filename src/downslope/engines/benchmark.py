"""What engine runs here and how near it comes to the processor's limit."""

from __future__ import annotations

import time
from itertools import pairwise

import msgspec
import numpy as np
import torch

from downslope.engines.environment import cores
from downslope.engines.native import MISSING, instruction_set, instruction_sets, make_trainer
from downslope.engines.pytorch import one_thread
from downslope.networks import Member, NetworkSpec, TrainingSpec, build, flatten


def describe_engine() -> dict[str, str]:
    """Name the engine and its instruction set, with its measured rate beside the processor's.

    Takes about a second; see `measure_rates`.
    """
    if not instruction_sets():
        return {"engine": f"pytorch; {MISSING}"}
    rates = measure_rates()
    return {
        "engine": f"native, {cores()} members at a time",
        "instruction set": f"{instruction_set()} of {', '.join(instruction_sets())}",
        "arithmetic": (
            f"{rates.engine / 1e9:.0f} GFLOP/s per core, {rates.engine / rates.sgemm:.0%} of "
            f"torch's sgemm, {rates.engine / rates.peak:.0%} of the multiply-add units' peak"
        ),
    }


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of one core in floating-point operations per second, measured side by side.

    Args:
        engine: useful operations of the compiled engine in training: 4 per weight and example in
            the first layer, whose inputs need no gradient, 6 elsewhere.
        sgemm: torch's product of 1,000 x 1,000 matrices in single precision.
        peak: multiply-adds from registers alone, in the engine's instruction set.
    """

    engine: float
    sgemm: float
    peak: float


def measure_rates(
    widths: tuple[int, ...] = (784, 40, 40, 40, 10), batch_size: int = 128, repetitions: int = 5
) -> Rates:
    """Measure the compiled engine on one core beside torch's sgemm and the processor's peak.

    Args:
        widths: of the network that is trained.
        batch_size: of its minibatches.
        repetitions: alternating measurements, of which the medians are returned.
    """
    rows = 4096
    member = Member(
        network=NetworkSpec(widths=widths), training=TrainingSpec(batch_size=batch_size), seed=0
    )
    trainer = make_trainer(member, instruction_set())
    trainer.parameters = flatten(build(member.network, torch.Generator()))
    inputs = np.random.default_rng(0).random((rows, widths[0]), dtype=np.float32)
    classes = np.arange(rows) % widths[-1]
    order = np.random.default_rng(1).permutation(rows)
    learning_rates = np.full(-(-rows // batch_size), 0.01)
    weights = [a * b for a, b in pairwise(widths)]
    work = rows * (4 * weights[0] + 6 * sum(weights[1:]))
    size = 1000
    left, right = torch.ones(size, size), torch.ones(size, size)

    def multiply() -> float:
        torch.mm(left, right)
        return 2.0 * size**3

    def learn() -> float:
        trainer.train(inputs, classes, order, learning_rates)
        return work

    def spin() -> float:
        return trainer.multiply_add(2_000_000)

    repeated: list[list[float]] = []
    with one_thread():
        for _ in range(repetitions + 1):  # the first warms up
            rates: list[float] = []
            for task in (multiply, learn, spin):
                start = time.perf_counter()
                operations = task()
                rates.append(operations / (time.perf_counter() - start))
            repeated.append(rates)
    sgemm, engine, peak = np.median(repeated[1:], axis=0).tolist()
    return Rates(engine=engine, sgemm=sgemm, peak=peak)
