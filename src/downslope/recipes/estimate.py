"""How long a recipe will take on this machine, said before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from downslope.autoencoders.compare import ablated
from downslope.data import Dataset, Examples
from downslope.engines import cores, train
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.recipe import Recipe, RefitRecipe, SearchRecipe, seeds_from
from downslope.search import Settings, snapshot_bytes
from downslope.theory import deep_networks
from downslope.theory.measurement import INITIALIZATIONS

SERIAL = {"landscape": 5e6, "autoencoder": 4e6, "theory": 2e6}
"""The work beside members' training and counted arithmetic that one core does, in the units of
`Member.expected_cost`."""

REPORT = 7e6
"""The same of the report, and of loading the data."""

OPERATIONS = 85_000
"""Floating-point operations in one of those units, as `Member.expected_cost` has it."""


@dataclass(frozen=True, slots=True)
class Work:
    """Some work in the units of `Member.expected_cost`: what all cores share, and what one does."""

    shared: float = 0.0
    serial: float = 0.0


def measure_speed(
    threads: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Measure how much of `Member.expected_cost` a core of this machine does in a second.

    As many small networks as there are cores train at the same time, three times over.

    Args:
        threads: members trained at the same time, by default one per core.
        clock: in seconds.
    """
    size = threads or cores()
    rng = np.random.default_rng(0)
    rows = Examples(rng.random((4096, 784), np.float32), np.arange(4096) % 10)
    network = NetworkSpec(widths=(784, 80, 80, 10))
    training = TrainingSpec(batch_size=64, epochs=4)
    members = [Member(network=network, training=training, seed=seed) for seed in range(size)]
    seconds: list[float] = []
    for _ in range(3):
        start = clock()
        for _record in train(members, rows, threads=size):
            pass
        seconds.append(clock() - start)
    return members[0].expected_cost(len(rows)) / median(seconds)


def estimate(
    recipe: Recipe,
    dataset: Dataset,
    stages: Sequence[str],
    speed: float,
    threads: int | None = None,
) -> float:
    """Estimate the seconds that stages of a recipe take.

    It adds up the expected cost of all members. Which trials a search will choose is not known:
    the mean of the dearer half of its proposals stands for a winner.

    Args:
        recipe: what is done.
        dataset: on which data.
        stages: which of its stages; their report is included.
        speed: see `measure_speed`.
        threads: members trained at the same time, by default one per core.
    """
    works = [_work(recipe, dataset, stage) for stage in stages]
    shared = sum(work.shared for work in works)
    serial = sum(work.serial for work in works) + REPORT
    return (shared / (threads or cores()) + serial) / speed


def estimate_snapshots(recipe: Recipe, dataset: Dataset, stages: Sequence[str]) -> float:
    """Estimate the bytes of the snapshots that searches of a recipe keep of their trials."""
    features, classes = dataset.training.inputs.shape[1], max(2, len(dataset.class_names))
    size = 0.0
    for stage, part in (("search", recipe.search), ("variants", recipe.variants)):
        if stage in stages and part.snapshots_per_epoch:
            members = [s.member(features, classes, 0) for s in part.proposals(recipe.seed)]
            size += snapshot_bytes(members, len(members), part.snapshots_per_epoch)
    return size


def _work(recipe: Recipe, dataset: Dataset, stage: str) -> Work:
    features, classes = dataset.training.inputs.shape[1], max(2, len(dataset.class_names))
    every, seed = len(dataset.training), recipe.seed
    held_out = recipe.data.validation
    rows = max(1, every - round(held_out * every if isinstance(held_out, float) else held_out))
    serial = SERIAL.get(stage, 0.0)

    def proposed(part: SearchRecipe) -> list[float]:
        return [s.member(features, classes, 0).expected_cost(rows) for s in part.proposals(seed)]

    def winners(part: SearchRecipe, refit: RefitRecipe) -> float:
        candidates = part.proposals(seed) if refit.choice is None else [Settings()]
        costs = [
            refit.resolved(s).member(features, classes, 0).expected_cost(every) for s in candidates
        ]
        return _dearer(costs) * len(seeds_from(refit.seeds, seed))

    match stage:
        case "search":
            return Work(_searched(recipe.search, proposed(recipe.search)))
        case "refit":
            return Work(winners(recipe.search, recipe.refit))
        case "variants":
            part = recipe.variants
            return Work(_searched(part, proposed(part)) + winners(part, part.refit))
        case "landscape":
            return Work(_dearer(proposed(recipe.search)) * recipe.landscape.trials, serial)
        case "autoencoder":
            coder = recipe.autoencoder
            own = coder.member(features, seed)
            others = [m for _, m in ablated(own, coder.code_sizes, coder.shapes)]
            members = [own] * len(seeds_from(coder.seeds, seed)) + others
            return Work(sum(m.expected_cost(every) for m in members), serial)
        case "theory":
            spec, theory = recipe.theory.trainability, recipe.theory
            rows = min(rows, spec.examples)
            deep = deep_networks(spec, features, classes, seed) if spec.depths else []
            weights = theory.repetitions * theory.depth * theory.width**2
            drawn = len(INITIALIZATIONS) * 6 * weights * min(theory.examples, rows) / OPERATIONS
            return Work(sum(m.expected_cost(rows) for m in deep), serial + 2 * drawn)
        case _:
            raise AssertionError(stage)


def _searched(part: SearchRecipe, costs: list[float]) -> float:
    """Sum up what a search trains, with what halving spares and the choice adds."""
    trained, mean = 0.0, sum(costs) / len(costs)
    for size, shares in part.halving.cohorts(len(costs), part.sampler == "tpe"):
        done = 0.0
        for share in (*shares, 1.0):
            trained += size * (share - done) * mean
            size, done = max(1, size // part.halving.factor), share
    choice = part.choice
    again = choice.top * (choice.folds or choice.seeds) if choice.top > 1 else 0
    return trained + again * _dearer(costs)


def _dearer(costs: list[float]) -> float:
    half = sorted(costs)[len(costs) // 2 :]
    return sum(half) / len(half)
