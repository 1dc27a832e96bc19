"""How often are selection bias, theory's verdicts, null models or sampling errors wrong?

Each function of SIMULATIONS draws what a run would see, where the truth is known, and calls the
code that states it. docs/statistics.md has the numbers, tests/statistics/test_verdicts.py a few.

    python benchmarks/verdicts.py                 all
    python benchmarks/verdicts.py --only theory
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from downslope.data import Examples
from downslope.landscape import Trajectory, evaluate, null_models
from downslope.networks import Initialization
from downslope.progress import drain
from downslope.statistics import mean_interval
from downslope.theory import checks, measure

REST, OWN = 0.1, 0.05  # of the variance between examples, as in coverage.py


class Row(NamedTuple):
    """A situation, and in which share of the draws something happened."""

    what: str
    share: float
    draws: int


def selection_bias(draws: int) -> Iterator[Row]:
    """Is the selection bias of a search within its interval?

    The best of 50 settings, by the accuracy of one seed, is trained again with 3 seeds: on the same
    examples (the interval is for the luck of the seed), on a second part or on 3 folds (it is for
    the luck with the examples too).
    """
    for evidence, examples, spread in itertools.product(
        ("validation", "second", "folds"), (500, 5000), (0.002, 0.01)
    ):
        random = np.random.default_rng(0)
        covered = sum(
            _selection_bias_covered(random, evidence, examples, spread) for _ in range(draws)
        )
        what = f"{evidence}, {examples:,} examples, spread {100 * spread:g} points"
        yield Row(what, covered / draws, draws)


def _selection_bias_covered(
    random: np.random.Generator, evidence: str, examples: int, spread: float, settings: int = 50
) -> bool:
    deviation = spread / stats.norm.pdf(stats.norm.ppf(0.86))
    accuracies = random.normal(0.86, 0.01, settings)
    thresholds = stats.norm.ppf(accuracies) * math.sqrt(1 + deviation**2)

    def ease() -> NDArray[np.float64]:
        shared = math.sqrt(1 - REST - OWN) * random.standard_normal((1, examples))
        return shared + math.sqrt(OWN) * random.standard_normal((settings, examples))

    def reached(ease: NDArray[np.float64], which: NDArray[np.int64]) -> NDArray[np.float64]:
        noise = math.sqrt(REST) * random.standard_normal((len(which), examples))
        skill = thresholds[which] + deviation * random.standard_normal(len(which))
        return (ease[which] + noise + skill[:, None] > 0).mean(axis=1)

    first = ease()
    searched = reached(first, np.arange(settings))
    best = int(searched.argmax())
    again = np.full(3, best)
    true = accuracies[best]
    if evidence == "validation":
        values = reached(first, again)
        luck = math.sqrt(REST + deviation**2)
        true = stats.norm.cdf((first[best] + thresholds[best]) / luck).mean()
    elif evidence == "second":
        values = reached(ease(), again)
    else:
        values = np.array([reached(ease(), again[:1])[0] for _ in range(3)])
    interval = mean_interval(values.tolist(), examples=examples if evidence == "second" else None)
    assert interval is not None
    # The selection bias is what was reached minus a mean, so it is covered where that mean is.
    return interval[0] <= true <= interval[1]


def theory(draws: int) -> Iterator[Row]:
    """How often has a whole list of true predictions a FAIL, and how often is a false one found?

    The false one is off by the departure that matters; a PASS then is an error.
    """
    for depth, width, networks in (
        (2, 32, 5),
        (2, 256, 30),
        (8, 32, 5),
        (8, 32, 30),
        (8, 128, 10),
        (20, 64, 30),
    ):
        failed = passed = found = missed = count = 0
        size = max(20, draws // (1 + depth * width * networks // 4000))
        for draw in range(size):
            true, departed = theory_verdicts(depth, width, networks, draw)
            failed += "FAIL" in true
            passed += true.count("PASS")
            found += departed.count("FAIL")
            missed += departed.count("PASS")
            count += len(true)
        what = f"depth {depth}, width {width}, {networks} networks"
        yield Row(f"{what}: a list of true predictions has a FAIL", failed / size, size)
        yield Row(f"{what}: a true prediction has PASS", passed / count, count)
        yield Row(f"{what}: one that is off by what matters has FAIL", found / count, count)
        yield Row(f"{what}: one that is off by what matters has PASS", missed / count, count)


INITIALIZATIONS: tuple[Initialization, ...] = ("he", "xavier", "pytorch")


def theory_verdicts(
    depth: int, width: int, networks: int, seed: int
) -> tuple[list[str], list[str]]:
    """Return the verdicts on true predictions, and on those off by the departure that matters."""
    rows = np.random.default_rng(seed).random((8, 64), dtype=np.float32)
    measured = drain(
        measure(
            rows,
            depth=depth,
            width=width,
            initializations=INITIALIZATIONS,
            repetitions=networks,
            seed=1000 * seed,
            examples=8,
        )
    )
    true = checks(measured)
    departed = [msgspec.structs.replace(one, expected=one.expected + one.departure) for one in true]
    return [one.verdict for one in true], [
        # The interval does not depend on what is expected, nor does the power.
        "FAIL"
        if not one.interval[0] <= one.expected <= one.interval[1]
        else "PASS"
        if one.power >= 0.9
        else "INCONCLUSIVE"
        for one in departed
    ]


def sampling_error(draws: int) -> Iterator[Row]:
    """Is the true loss within one and two standard errors of a landscape's?"""
    for examples, steepness in itertools.product((50, 200, 2500), (1.0, 6.0)):
        within = sampling_errors(examples, steepness, draws)
        what = f"{examples:,} examples, {'calm' if steepness < 2 else 'very uneven'} losses"
        for errors in (1, 2):
            share = float(np.mean(within <= errors))
            yield Row(f"{what}, {errors} standard error{'s' * (errors > 1)}", share, draws)


def sampling_errors(examples: int, steepness: float, draws: int) -> NDArray[np.float64]:
    """Return by how many standard errors losses on samples differ from that of all examples."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((200_000, 2)).astype(np.float32)
    labels = (inputs[:, 0] + 0.7 * random.standard_normal(len(inputs)) > 0).astype(np.int64)
    module = nn.Linear(2, 2)
    vector = np.array([-1, 0, 1, 0, 0, 0], np.float32) * np.float32(steepness / 2)
    with torch.no_grad():
        logits = torch.from_numpy(inputs) @ torch.from_numpy(vector[:4].reshape(2, 2)).T
        true = float(nn.functional.cross_entropy(logits.double(), torch.from_numpy(labels)))
    away: list[float] = []
    for _ in range(draws):
        rows = random.integers(0, len(inputs), examples)
        values = drain(evaluate(module, [vector], 1, Examples(inputs[rows], labels[rows])))
        away.append(abs(values.loss[0] - true) / values.error[0])
    return np.array(away)


def nulls(draws: int) -> Iterator[Row]:
    """Is a random walk's explained variance within the interval of its null model?"""
    for steps, parameters, momentum in itertools.product((10, 40), (50, 2000), (0.0, 0.8)):
        inside = null_coverage(steps, parameters, momentum, draws)
        what = f"{steps} steps, {parameters:,} parameters, momentum {momentum:g}"
        for name, share in inside.items():
            if name == "autocorrelated" or not momentum:
                yield Row(f"{what}, {name} null", share, draws)


def null_coverage(steps: int, parameters: int, momentum: float, draws: int) -> dict[str, float]:
    """Return for each null model how often a walk lies in its interval."""
    random = np.random.default_rng(0)
    inside: dict[str, int] = {}
    for draw in range(draws):
        moves = random.standard_normal((steps, parameters))
        for t in range(1, steps):
            moves[t] = momentum * moves[t - 1] + math.sqrt(1 - momentum**2) * moves[t]
        vectors = np.concatenate([np.zeros((1, parameters)), moves]).cumsum(axis=0)
        path = Trajectory()
        for step, vector in enumerate(vectors):
            path.add(vector.astype(np.float32), step=step, loss=0.0)
        values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
        share = values[:2].sum() / values.sum()
        for model in null_models(path, seed=draw):
            low, high = model.interval
            inside[model.name] = inside.get(model.name, 0) + (low <= share <= high)
    return {name: count / draws for name, count in inside.items()}


SIMULATIONS: dict[str, tuple[int, Callable[[int], Iterator[Row]]]] = {
    "selection_bias": (400, selection_bias),
    "theory": (400, theory),
    "sampling_error": (1000, sampling_error),
    "nulls": (200, nulls),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(SIMULATIONS))
    options = parser.parse_args()
    for name in [options.only] if options.only else sorted(SIMULATIONS):
        draws, simulate = SIMULATIONS[name]
        print(f"\n| `{name}` | share (%) | draws |\n|---|---|---|")
        for row in simulate(draws):
            print(f"| {row.what} | {100 * row.share:.1f} | {row.draws} |", flush=True)


if __name__ == "__main__":
    main()
