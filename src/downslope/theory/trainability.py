"""Does it matter? Deep networks of every start, trained as one population."""

from __future__ import annotations

import math
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from downslope.checked import NONE_TWICE, Checked, Count
from downslope.data import Examples
from downslope.engines import EpochRecord, MakeRunner, local_runner, train
from downslope.networks import Activation, Initialization, Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, Steps
from downslope.theory.settings import INITIALIZATIONS, Initializations
from downslope.theory.variance_map import edge_of_chaos, variance_map

TASK: Final = "training deep networks"

Depths = Annotated[tuple[Annotated[int, Meta(ge=1, le=200)], ...], NONE_TWICE]
Positives = Annotated[
    tuple[Annotated[float, Meta(gt=0, lt=10**6)], ...], Meta(min_length=1), NONE_TWICE
]


class TrainabilitySpec(Checked, frozen=True, kw_only=True):
    """Which deep networks are trained, and how.

    Args:
        depths: hidden layers of the networks that compare initializations; none trains nothing.
        initializations: which to compare.
        map_depths: hidden layers of the networks of the map.
        weight_variances: n Var[w] of the networks of the map, normal and without biases.
        activation: of all networks.
        width: units per hidden layer.
        learning_rates: of plain SGD; of each network the one with the lowest last training loss
            counts, so that no start suffers from a rate that suits another.
        seeds: networks per initialization and depth; the map has one per point.
        epochs: passes over the examples.
        batch_size: examples per minibatch.
        examples: training examples, and as many validation examples; all where there are fewer.

    Raises:
        InputError: a field is outside of what is allowed; the message names it.
    """

    depths: Depths = (10, 20, 40)
    initializations: Initializations = INITIALIZATIONS
    map_depths: Depths = (5, 10, 15, 20, 30, 40)
    weight_variances: Positives = (0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0)
    activation: Activation = "relu"
    width: Annotated[int, Meta(ge=1, le=4096)] = 64
    learning_rates: Positives = (0.01, 0.03)
    seeds: Annotated[int, Meta(ge=1, le=1000)] = 2
    epochs: Annotated[int, Meta(ge=1, le=10_000)] = 8
    batch_size: Annotated[int, Meta(ge=1, le=10**6)] = 32
    examples: Count = 2000

    def training(self, learning_rate: float) -> TrainingSpec:
        """Return how a network is trained at one learning rate."""
        return TrainingSpec(
            learning_rate=learning_rate, batch_size=self.batch_size, epochs=self.epochs
        )


class DeepNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the networks of one start and depth.

    Args:
        depth: hidden layers.
        initialization: their start; None in the map.
        weight_variance: n Var[w] in the map; None in the comparison of initializations.
        accuracies: on validation examples after training, one per seed; None where training
            diverged at every learning rate.
        learning_rates: that counted, one per seed; None likewise.
        trains: whether the mean accuracy reaches the result's `bar`, a diverged network counting
            as a guess.
    """

    depth: int
    initialization: Initialization | None
    weight_variance: float | None
    accuracies: list[float | None]
    learning_rates: list[float | None]
    trains: bool


class PredictedDepth(msgspec.Struct, frozen=True, kw_only=True):
    """The depth scale at one n Var[w]; None on the edge, where it is infinite."""

    weight_variance: float
    depth_scale: float | None


class TrainabilityResult(msgspec.Struct, frozen=True, kw_only=True):
    """Which deep networks train.

    Args:
        spec: what was trained.
        comparison: one entry per initialization and depth.
        map: one entry per weight variance and depth.
        edge: n Var[w] at the edge of chaos, as predicted; None where there is none.
        depth_scales: over the range of the map, as predicted.
        guess: the share of the most frequent class, the accuracy of a guess.
        bar: half of the way from a guess to the best accuracy of all; what reaches it trains.
        examples: trained on.
        validation_examples: judged on.
        networks: trained in all.
    """

    spec: TrainabilitySpec
    comparison: list[DeepNetwork]
    map: list[DeepNetwork]
    edge: float | None
    depth_scales: list[PredictedDepth]
    guess: float
    bar: float
    examples: int
    validation_examples: int
    networks: int


class _Start(NamedTuple):
    depth: int
    initialization: Initialization | None
    weight_variance: float | None
    seeds: int

    def network(self, spec: TrainabilitySpec, features: int, classes: int) -> NetworkSpec:
        return NetworkSpec(
            widths=(features, *[spec.width] * self.depth, classes),
            activation=spec.activation,
            initialization=self.initialization or "lecun",
            weight_scale=math.sqrt(self.weight_variance or 1),
        )


_Key = tuple[_Start, int, float]
"""A network's start, seed and learning rate."""

_Last = dict[_Key, EpochRecord]


def train_deep_networks(
    spec: TrainabilitySpec,
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    seed: int,
    threads: int | None = None,
    make_runner: MakeRunner = local_runner,
) -> Steps[TrainabilityResult]:
    """Train networks of every depth and start as one population, and say which ones learn.

    With the default spec 180 networks, about ten seconds on two cores.

    Source of the prediction: Schoenholz et al. (2017), Deep Information Propagation,
    arXiv:1611.01232: networks train up to a depth of about six depth scales.

    Args:
        spec: which networks.
        training: scaled examples; the first `spec.examples` of a seeded order are used.
        validation: scaled examples to judge on.
        classes: of the targets.
        seed: of the networks, counted up for `spec.seeds`.
        threads: networks at a time, by default one per core.
        make_runner: makes what trains, here or on a cluster.

    Raises:
        InputError: the data do not fit.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(training))
    chosen = training.take(np.sort(order[: spec.examples]))
    validation = validation.take(np.arange(min(len(validation), spec.examples)))
    features = int(training.inputs.shape[1])
    keys, members = _population(spec, features, classes, seed)
    starts = list(dict.fromkeys(start for start, _, _ in keys))
    costs = [member.expected_cost(len(chosen)) for member in members]
    yield Progress(TASK, 0, sum(costs))
    last: _Last = {}
    done = 0.0
    for record in train(members, chosen, validation, threads=threads, make_runner=make_runner):
        done += costs[record.member] / spec.epochs
        if record.outcome is not None:
            last[keys[record.member]] = record
            done += costs[record.member] * (1 - record.epoch / spec.epochs)  # diverged early
            note = f"{len(last)} of {len(members)} networks"
            yield Progress(TASK, min(done, sum(costs)), sum(costs), note)
    yield Progress(TASK, sum(costs), sum(costs), f"{len(members)} networks")
    counts = np.bincount(np.asarray(validation.targets, np.int64), minlength=classes)
    return _judge(
        spec, starts, last, float(counts.max() / counts.sum()), len(chosen), len(validation)
    )


def deep_networks(spec: TrainabilitySpec, features: int, classes: int, seed: int) -> list[Member]:
    """List the members that `train_deep_networks` trains."""
    return _population(spec, features, classes, seed)[1]


def _population(
    spec: TrainabilitySpec, features: int, classes: int, seed: int
) -> tuple[list[_Key], list[Member]]:
    starts = [
        _Start(depth, initialization, None, spec.seeds)
        for initialization in spec.initializations
        for depth in spec.depths
    ]
    starts += [
        _Start(depth, None, variance, 1)
        for variance in spec.weight_variances
        for depth in spec.map_depths
    ]
    keys = [
        (start, k, rate)
        for start in starts
        for k in range(start.seeds)
        for rate in spec.learning_rates
    ]
    members = [
        Member(
            network=start.network(spec, features, classes),
            training=spec.training(rate),
            seed=seed + k,
        )
        for start, k, rate in keys
    ]
    return keys, members


def _judge(
    spec: TrainabilitySpec,
    starts: list[_Start],
    last: _Last,
    guess: float,
    examples: int,
    validation_examples: int,
) -> TrainabilityResult:
    # By the training loss: the accuracy that is reported chose nothing.
    rates = [[_best_rate(spec, start, k, last) for k in range(start.seeds)] for start in starts]
    accuracies = [
        [None if r is None else last[s, k, r].validation_accuracy for k, r in enumerate(by_seed)]
        for s, by_seed in zip(starts, rates, strict=True)
    ]
    best = max((a for by_seed in accuracies for a in by_seed if a is not None), default=guess)
    bar = guess + (max(best, guess) - guess) / 2

    def trains(by_seed: list[float | None]) -> bool:
        return best > guess and float(np.mean([guess if a is None else a for a in by_seed])) >= bar

    networks = [
        DeepNetwork(
            depth=start.depth,
            initialization=start.initialization,
            weight_variance=start.weight_variance,
            accuracies=by_seed,
            learning_rates=chosen,
            trains=trains(by_seed),
        )
        for start, by_seed, chosen in zip(starts, accuracies, rates, strict=True)
    ]
    low, high = min(spec.weight_variances), max(spec.weight_variances)
    return TrainabilityResult(
        spec=spec,
        comparison=[one for one in networks if one.weight_variance is None],
        map=[one for one in networks if one.weight_variance is not None],
        edge=edge_of_chaos(spec.activation),
        depth_scales=[
            PredictedDepth(
                weight_variance=variance,
                depth_scale=variance_map(spec.activation, variance).depth_scale,
            )
            for variance in map(float, np.linspace(low, high, 61))
        ],
        guess=guess,
        bar=bar,
        examples=examples,
        validation_examples=validation_examples,
        networks=len(last),
    )


def _best_rate(spec: TrainabilitySpec, start: _Start, seed: int, last: _Last) -> float | None:
    completed = [
        (last[start, seed, rate].train_loss, rate)
        for rate in spec.learning_rates
        if last[start, seed, rate].outcome == "completed"
    ]
    return min(completed)[1] if completed else None
