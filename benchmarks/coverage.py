"""Do intervals cover what they say, and how often is a verdict wrong? By simulation.

Each public function of downslope.statistics that returns an interval has its entry in SIMULATIONS;
a test asks for it. Networks are simulated as in a probit model with crossed effects: a test example
has a difficulty that all networks share, a seed has its own accuracy, and what is left is a draw
for each network and example. At 88 % accuracy two seeds then give different answers to 7 % of the
examples, as small networks do on Fashion-MNIST.

    python benchmarks/coverage.py               the table of docs/statistics.md
    python benchmarks/coverage.py --draws 100   a glance
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from downslope.statistics import (
    accuracy_of,
    bootstrap_intervals,
    class_scores,
    compare,
    mean_interval,
    reliability,
    wilson_interval,
)

SHARED = 0.9  # of the variance between examples: how much of it all networks have in common


class Case(NamedTuple):
    """One situation: what was drawn, and in which share of draws the interval covered."""

    what: str
    coverage: float
    draws: int


class Networks(NamedTuple):
    """Two settings, each trained with some seeds, on the same test examples."""

    seeds: tuple[int, int]
    examples: int
    accuracy: float
    spread: tuple[float, float]
    gain: float = 0.0
    shared: float = SHARED

    def draw(self, random: np.random.Generator) -> list[NDArray[np.bool_]]:
        """Draw which seed classifies which example correctly: a matrix for each setting."""
        easiness = random.standard_normal(self.examples, dtype=np.float32) * math.sqrt(self.shared)
        rights: list[NDArray[np.bool_]] = []
        for side, seeds in enumerate(self.seeds):
            threshold = stats.norm.ppf(self.accuracy + side * self.gain)
            deviation = self.spread[side] / stats.norm.pdf(threshold)
            # So that the mean accuracy over all seeds is exactly the one that was asked for.
            threshold *= math.sqrt(1 + deviation**2)
            own = (threshold + deviation * random.standard_normal((seeds, 1))).astype(np.float32)
            noise = random.standard_normal((seeds, self.examples), dtype=np.float32)
            rights.append(easiness + math.sqrt(1 - self.shared) * noise + own > 0)
        return rights


def coverage_of_compare(networks: Networks, draws: int, seed: int = 0) -> float:
    """Return how often the interval contains the true gain; without one, the rest are errors."""
    random = np.random.default_rng(seed)
    covered = 0
    for _ in range(draws):
        interval = compare(*networks.draw(random)).interval
        assert interval is not None
        covered += interval[0] <= networks.gain <= interval[1]
    return covered / draws


def _compare(draws: int) -> Iterator[Case]:
    for seeds in ((2, 2), (3, 3), (5, 5), (10, 10), (20, 20), (2, 5), (2, 20), (5, 20)):
        for examples in (200, 2000, 10_000):
            for accuracy in (0.6, 0.88, 0.99):
                for spread in (0.0, 0.005, 0.02):
                    if spread > (1 - accuracy) / 2:
                        continue
                    networks = Networks(seeds, examples, accuracy, (spread, spread))
                    few = max(200, draws * 1000 // (1000 + examples * sum(seeds) // 20))
                    yield Case(
                        f"{seeds[0]} and {seeds[1]} seeds, {examples:,} examples, accuracy "
                        f"{accuracy:g}, spread {100 * spread:g} points",
                        coverage_of_compare(networks, few),
                        few,
                    )


def _accuracy_of(draws: int) -> Iterator[Case]:
    for accuracy in (0.6, 0.88, 0.99):
        for examples in (200, 2000):
            random = np.random.default_rng(0)
            covered = 0
            for _ in range(draws):
                right = Networks((5, 1), examples, accuracy, (0.0, 0.0)).draw(random)[0]
                low, high = accuracy_of(right.mean(axis=1).tolist(), examples).interval
                covered += low <= accuracy <= high
            what = f"5 seeds, no spread, {examples:,} examples, accuracy {accuracy:g}"
            yield Case(what, covered / draws, draws)


def _mean_interval(draws: int) -> Iterator[Case]:
    for seeds in (2, 3, 5, 10, 20):
        values = np.random.default_rng(0).normal(0.88, 0.005, (draws, seeds))
        ends = [mean_interval(row) or (0.0, 0.0) for row in values.tolist()]
        yield Case(
            f"{seeds} seeds", float(np.mean([low <= 0.88 <= high for low, high in ends])), draws
        )


def _wilson_interval(draws: int) -> Iterator[Case]:
    del draws  # exact: the sum over all numbers of hits
    for accuracy in (0.6, 0.88, 0.99):
        for examples in (200, 1000, 10_000):
            hits = np.arange(examples + 1)
            ends = np.array([wilson_interval(k / examples, examples) for k in hits.tolist()])
            inside = (ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])
            chance = stats.binom.pmf(hits, examples, accuracy)
            yield Case(
                f"{examples:,} examples, accuracy {accuracy:g}", float(chance[inside].sum()), 0
            )


def _bootstrap_intervals(draws: int) -> Iterator[Case]:
    for networks in (10, 20, 50):
        for sigma in (0.1, 0.6):
            random = np.random.default_rng(0)
            samples = random.lognormal(-(sigma**2) / 2, sigma, (networks, draws))
            low, high = bootstrap_intervals(samples, seed=0)
            what = f"{networks} networks, standard deviation of the logarithm {sigma:g}"
            yield Case(what, float(np.mean((low <= 1) & (high >= 1))), draws)


def _reliability(draws: int) -> Iterator[Case]:
    for examples in (1000, 10_000):
        for excess in (0.0, 0.02, 0.08):
            random = np.random.default_rng(0)
            few = max(40, draws // 20)
            covered = 0
            for _ in range(few):
                low, high = reliability(*_answers(random, examples, excess)).interval
                covered += low <= excess <= high
            what = f"{examples:,} examples, confidence {100 * excess:g} points too high"
            yield Case(what, covered / few, few)


def _answers(
    random: np.random.Generator, examples: int, excess: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    confidences = random.beta(6, 1, (1, examples)) * 0.9 + 0.1
    return confidences, random.uniform(size=confidences.shape) < np.maximum(confidences - excess, 0)


def _class_scores(draws: int) -> Iterator[Case]:
    for examples in (200, 2000):
        for accuracy in (0.6, 0.88, 0.98):
            random = np.random.default_rng(0)
            cells = np.full((10, 10), (1 - accuracy) / 90)
            np.fill_diagonal(cells, accuracy / 10)
            few = max(100, draws // 4)
            covered = []
            for _ in range(few):
                counts = random.multinomial(examples, cells.ravel()).reshape(10, 10)
                score = class_scores(counts.tolist())[0]
                if score.f1_interval is not None:
                    covered.append(score.f1_interval[0] <= accuracy <= score.f1_interval[1])
            what = f"F1 of one of 10 classes, {examples:,} examples, accuracy {accuracy:g}"
            yield Case(what, float(np.mean(covered)), few)


SIMULATIONS: dict[str, Callable[[int], Iterator[Case]]] = {
    "accuracy_of": _accuracy_of,
    "bootstrap_intervals": _bootstrap_intervals,
    "class_scores": _class_scores,
    "compare": _compare,
    "mean_interval": _mean_interval,
    "reliability": _reliability,
    "wilson_interval": _wilson_interval,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--only", choices=sorted(SIMULATIONS))
    options = parser.parse_args()
    print(
        f"downslope {version('downslope')}, NumPy {np.__version__}, SciPy {version('scipy')}, "
        f"Python {platform.python_version()}; up to {options.draws} draws a row\n"
    )
    for name in [options.only] if options.only else sorted(SIMULATIONS):
        print(f"\n| `{name}` | coverage (%) | draws |\n|---|---|---|")
        for case in SIMULATIONS[name](options.draws):
            print(
                f"| {case.what} | {100 * case.coverage:.1f} | {case.draws or 'exact'} |", flush=True
            )


if __name__ == "__main__":
    main()
