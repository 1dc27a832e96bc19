"""Do intervals cover what they say, and how often is a verdict wrong? By simulation.

Each public function of downslope.statistics that returns an interval has its entry in SIMULATIONS;
a test asks for it. Networks are simulated as in a probit model with crossed effects: a test example
has a difficulty that all networks share and a part that those of one setting share, a seed has its
own accuracy, and what is left is a draw for each network and example. At 88 % accuracy two seeds
then give different answers to 7 % of the examples, as small networks do on Fashion-MNIST, and two
settings to 9 %.

    python benchmarks/coverage.py               the tables of docs/statistics.md
    python benchmarks/coverage.py --draws 100   a glance
    python benchmarks/coverage.py --csv FILE    every situation of `compare`
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats
from scipy.optimize import linprog

from downslope.statistics import (
    accuracy_of,
    bootstrap_intervals,
    class_scores,
    compare,
    mean_interval,
    pseudovalues,
    regression_score,
    reliability,
    wilson_interval,
)
from downslope.statistics.comparison import half_width

REST = 0.1  # of the variance between examples: what a network shares with no other
OWN = 0.05  # what the seeds of one setting share, and no other setting

SEEDS = ((2, 2), (2, 3), (2, 5), (2, 20), (3, 3), (3, 5), (5, 5), (5, 20), (10, 10), (20, 20))
EXAMPLES = (200, 2000, 10_000)
ACCURACIES = (0.6, 0.88, 0.99)
SPREADS = ((0.0, 0.0), (0.005, 0.005), (0.02, 0.02), (0.0, 0.02), (0.02, 0.0))

COLUMNS = ("seeds", "seeds_2", "examples", "accuracy", "spread", "spread_2", "false_verdicts")


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
    own: float = OWN

    def draw(self, random: np.random.Generator) -> list[NDArray[np.bool_]]:
        """Draw which seed classifies which example correctly: a matrix for each setting."""
        return self.answer(draw_ease(random, self.seeds, self.examples, self.own))

    def answer(self, drawn: Ease) -> list[NDArray[np.bool_]]:
        """Return what these networks classify correctly, of seeds and examples drawn before."""
        rights: list[NDArray[np.bool_]] = []
        for side, seeds in enumerate(self.seeds):
            threshold = stats.norm.ppf(self.accuracy + side * self.gain)
            deviation = self.spread[side] / stats.norm.pdf(threshold)
            # So that the mean accuracy over all seeds is exactly the one that was asked for.
            threshold *= math.sqrt(1 + deviation**2)
            least = -(threshold + deviation * drawn.skill[side][:seeds]).astype(np.float32)
            rights.append(drawn.ease[side][:seeds] > least)
        return rights


class Ease(NamedTuple):
    """How easy each example is for each seed of two sides, and how good each seed is."""

    ease: list[NDArray[np.float32]]
    skill: list[NDArray[np.float64]]


def draw_ease(
    random: np.random.Generator, seeds: tuple[int, int], examples: int, own: float = OWN
) -> Ease:
    """Draw two sides' seeds on the same examples, all in standard deviations."""

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, dtype=np.float32)

    shared = math.sqrt(1 - REST - own) * normal(examples)
    ease = [
        shared + math.sqrt(own) * normal(examples) + math.sqrt(REST) * normal(count, examples)
        for count in seeds
    ]
    return Ease(ease, [random.standard_normal((count, 1)) for count in seeds])


def coverage_of_compare(networks: Networks, draws: int, seed: int = 0) -> float:
    """Return how often the interval contains the true gain; without one, the rest are errors."""
    random, covered = np.random.default_rng(seed), 0
    for _ in range(draws):
        low, high = compare(*networks.draw(random)).interval or (0.0, 0.0)
        covered += low <= networks.gain <= high
    return covered / draws


def coverage_of_accuracy(networks: Networks, draws: int, seed: int = 0) -> float:
    """Return how often the interval of the first setting's mean accuracy contains the true one."""
    random, covered = np.random.default_rng(seed), 0
    for _ in range(draws):
        low, high = accuracy_of(networks.draw(random)[0]).interval
        covered += low <= networks.accuracy <= high
    return covered / draws


def grid() -> Iterator[Networks]:
    """List the situations in which `compare` is simulated."""
    for seeds, examples, accuracy in itertools.product(SEEDS, EXAMPLES, ACCURACIES):
        for spread in SPREADS:
            if max(spread) > (1 - accuracy) / 2:  # no normal spread so near to 1
                spread = (spread[0] / 4, spread[1] / 4)
            if seeds[0] == seeds[1] and spread[0] > spread[1]:
                continue  # the mirrored situation
            yield Networks(seeds, examples, accuracy, spread)


def simulate_compare(draws: int) -> Iterator[tuple[Networks, float]]:
    """Yield each situation of the grid with its coverage; they share their random numbers."""
    for examples in EXAMPLES:
        cells = [one for one in dict.fromkeys(grid()) if one.examples == examples]
        covered = np.zeros(len(cells))
        random = np.random.default_rng(0)
        for _ in range(draws):
            drawn = draw_ease(random, (20, 20), examples)
            for i, cell in enumerate(cells):
                low, high = compare(*cell.answer(drawn)).interval or (0.0, 0.0)
                covered[i] += low <= 0 <= high
        yield from zip(cells, (covered / draws).tolist(), strict=True)


def _spread_name(spread: tuple[float, float]) -> str:
    return ("neither spreads", "one spreads", "both spread")[sum(s > 0 for s in spread)]


def _compare(draws: int, table: Path | None = None) -> Iterator[Case]:
    situations = list(simulate_compare(draws))
    if table is not None:
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            for one, coverage in situations:
                rows.writerow(
                    [*one.seeds, one.examples, one.accuracy, *one.spread, round(1 - coverage, 4)]
                )
    for seeds in SEEDS:
        for name in ("neither spreads", "both spread", "one spreads"):
            cells = [
                (coverage, one)
                for one, coverage in situations
                if one.seeds == seeds and _spread_name(one.spread) == name
            ]
            (least, where), (most, _) = min(cells), max(cells)
            yield Case(
                f"{seeds[0]} and {seeds[1]} seeds, {name}: at worst with {where.examples:,} "
                f"examples, accuracy {where.accuracy:g}, spread {100 * where.spread[0]:g} and "
                f"{100 * where.spread[1]:g} points; at most {100 * most:.1f} elsewhere",
                least,
                draws,
            )


class NormalModel:
    """Two sides whose accuracies over seeds and examples are normal, integrated without draws.

    The unit of variance is what is left of one network; `apart` is the variance of the difference
    over examples without it, `scatter` how many times that variance a side's seeds have.
    """

    EXAMPLES = 10**9  # so many that variances over examples are known

    def __init__(self, seeds: tuple[int, int]) -> None:
        self.seeds = np.array(seeds)
        self.rest = 1 / self.seeds
        nodes, weights = np.polynomial.legendre.leggauss(48)
        nodes = (nodes + 1) / 2
        chances = nodes**2 * (3 - 2 * nodes)  # denser at both ends
        weights = weights * 3 * nodes * (1 - nodes)
        self._weights = np.outer(weights, weights)
        first, second = (stats.chi2.ppf(chances, n - 1) / (n - 1) for n in seeds)
        self._drawn = np.array(np.meshgrid(first, second, indexing="ij"))

    def verdicts(
        self,
        apart: float,
        scatter: tuple[float, float] = (1.0, 1.0),
        gain: float = 0.0,
        comparisons: int = 1,
    ) -> float:
        """Return the chance of a verdict; without a gain all of them are false.

        Args:
            apart: see above.
            scatter: of each side, 1 or more: at 1 its seeds have no spread of their own.
            gain: true difference in standard deviations of the difference without such spread.
            comparisons: how many stand together.
        """
        own = self.rest * np.array(scatter)
        rest = float(self.rest.sum())
        half = half_width(
            apart + rest,
            self._drawn * own[:, None, None],
            rest,
            self.seeds,
            self.EXAMPLES,
            comparisons=comparisons,
        )
        deviation = math.sqrt(apart + own.sum())
        shift = gain * math.sqrt(apart + rest)
        chance = stats.norm.sf((half - shift) / deviation)
        chance += stats.norm.cdf((-half - shift) / deviation)
        return float((chance * self._weights).sum())

    def worst(self, comparisons: int = 1) -> float:
        """Return the largest chance of a false verdict, over scatter and difficulty."""
        steps = (1, 2, 4, 8, 16, 50, 200, 1000, 10_000)
        return max(
            self.verdicts(apart, (first, second), comparisons=comparisons)
            for apart in (0, 0.3, 3, 30)
            for first in steps
            for second in steps
        )


SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
GAIN = float(stats.norm.ppf(0.975) + stats.norm.ppf(0.9))  # where a test over examples has 90 %


def power(seeds: tuple[int, int], share: float) -> float:
    """Return the power where seeds have no spread of their own.

    Args:
        seeds: of each side.
        share: of the variance of the difference: how much single networks' answers make.
    """
    model = NormalModel(seeds)
    rest = float(model.rest.sum())
    if share == 0:  # then all seeds agree
        return model.verdicts(1e9, gain=GAIN)
    return model.verdicts(rest * (1 - share) / share, gain=GAIN)


def possible_power(freedom: tuple[int, int], share: float, wrong: float = 0.06) -> float:
    """Return the most power that any test can have whose false verdicts are rare everywhere.

    A linear program over tests on a grid of the difference and of both sides' variances: what is
    bounded is the chance of a false verdict for every pair of true variances. The grid is coarse,
    so the true limit is up to 0.02 higher.
    """
    rest, apart = np.array([share / 2, share / 2]), 1 - share
    edges = np.r_[0, np.geomspace(0.6, 120, 30), np.inf]
    cuts = [np.r_[0, np.geomspace(own * 0.01, own * 500, 20), np.inf] for own in rest]

    def chances(gain: float, own: NDArray[np.float64]) -> NDArray[np.float64]:
        deviation = math.sqrt(apart + own.sum())
        inside = stats.norm.cdf((edges - gain) / deviation)
        outside = stats.norm.cdf((-edges - gain) / deviation)
        seen = [
            np.diff(stats.chi2.cdf(cut * f / v, f))
            for cut, f, v in zip(cuts, freedom, own, strict=True)
        ]
        return np.einsum("i,j,k->ijk", np.diff(inside - outside), *seen)

    scatter = np.geomspace(1, 1000, 13)
    limits = [chances(0, rest * np.array(s)).ravel() for s in itertools.product(scatter, scatter)]
    wanted = chances(GAIN, rest)
    cells = np.arange(wanted.size).reshape(wanted.shape)
    below, above = cells[:-1].ravel(), cells[1:].ravel()
    # A larger difference is never less of a verdict.
    one = sparse.identity(wanted.size, format="csr")
    rising = one[below] - one[above]
    solution = linprog(
        -wanted.ravel(),
        A_ub=sparse.vstack([sparse.csr_matrix(np.array(limits)), rising]),
        b_ub=np.r_[np.full(len(limits), wrong), np.zeros(below.size)],
        bounds=(0, 1),
        method="highs-ipm",
    )
    return -float(solution.fun)


def print_normal_model() -> None:
    """Print the tables of the normal model: false verdicts, power, and what is possible."""
    print("\n| seeds | false verdicts at worst (%) | of ten at once, all together (%) |")
    print("|---|---|---|")
    for seeds in SEEDS:
        model = NormalModel(seeds)
        ten = 10 * model.worst(comparisons=10)
        print(f"| {seeds[0]} and {seeds[1]} | {100 * model.worst():.1f} | {100 * ten:.1f} |")
    print(f"\n| seeds | {' | '.join(f'share {share:g}' for share in SHARES)} |")
    print("|---|" + "---|" * len(SHARES))
    for seeds in SEEDS:
        row = " | ".join(f"{power(seeds, share):.2f}" for share in SHARES)
        print(f"| {seeds[0]} and {seeds[1]} | {row} |", flush=True)
    for seeds in ((2, 2), (3, 3)):
        freedom = (seeds[0] - 1, seeds[1] - 1)
        row = [f"{possible_power(freedom, share):.2f}" for share in SHARES[1:]]
        print(f"| {seeds[0]} and {seeds[1]}, any test | 0.90 | {' | '.join(row)} |", flush=True)


def _accuracy_of(draws: int) -> Iterator[Case]:
    for seeds in (1, 2, 3, 5, 10, 20):
        cases: list[tuple[float, str]] = []
        for examples, accuracy, spread in itertools.product(
            (200, 2000), ACCURACIES, (0.0, 0.005, 0.02)
        ):
            if spread > (1 - accuracy) / 2 or (seeds == 1 and spread):
                continue
            networks = Networks((seeds, 1), examples, accuracy, (spread, 0.0))
            what = f"{examples:,} examples, accuracy {accuracy:g}, spread {100 * spread:g} points"
            cases.append((coverage_of_accuracy(networks, draws), what))
        (least, where), (most, _) = min(cases), max(cases)
        what = f"{seeds} seeds: at worst with {where}; at most {100 * most:.1f} elsewhere"
        yield Case(what, least, draws)


def _mean_interval(draws: int) -> Iterator[Case]:
    for seeds in (2, 3, 5, 10, 20):
        values = np.random.default_rng(0).normal(0.88, 0.005, (draws, seeds))
        ends = [mean_interval(row) or (0.0, 0.0) for row in values.tolist()]
        covered = float(np.mean([low <= 0.88 <= high for low, high in ends]))
        yield Case(f"{seeds} seeds", covered, draws)


def _pseudovalues(draws: int) -> Iterator[Case]:
    # What a pair has in common with others that share a seed, and what is its own; true mean 0.
    for seeds in (5, 20):
        for own in (0.0, 1.0):
            random, covered = np.random.default_rng(0), 0
            for _ in range(draws):
                pairs = random.normal(0, own, (seeds, seeds))
                of_seeds = random.normal(size=seeds)
                pairs = pairs + pairs.T + of_seeds + of_seeds[:, None]
                values = pseudovalues({"of": pairs}, lambda each: float(each["of"].mean()))
                low, high = mean_interval(values) or (0.0, 0.0)
                covered += low <= 0 <= high
            what = f"all pairs of {seeds} seeds, a pair's own deviation {own:g}, a seed's 1"
            yield Case(what, covered / draws, draws)


def _wilson_interval(draws: int) -> Iterator[Case]:
    del draws  # exact: the sum over all numbers of hits
    for accuracy in (0.6, 0.88, 0.99):
        for examples in (200, 1000, 10_000):
            hits = np.arange(examples + 1)
            ends = np.array([wilson_interval(k / examples, examples) for k in hits.tolist()])
            inside = (ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])
            chance = float(stats.binom.pmf(hits, examples, accuracy)[inside].sum())
            yield Case(f"{examples:,} examples, accuracy {accuracy:g}", chance, 0)


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
                confidences = random.beta(6, 1, (1, examples)) * 0.9 + 0.1
                right = random.uniform(size=(1, examples)) < np.maximum(confidences - excess, 0)
                low, high = reliability(confidences, right).interval
                covered += low <= excess <= high
            what = f"{examples:,} examples, confidence {100 * excess:g} points too high"
            yield Case(what, covered / few, few)


def _regression_score(draws: int) -> Iterator[Case]:
    # Seeds share the errors of each example in part, and differ in their scale.
    for seeds, examples, spread in itertools.product((2, 5, 20), (200, 2000), (0.0, 0.05)):
        random, covered = np.random.default_rng(0), 0
        for _ in range(draws):
            errors = math.sqrt(0.7) * random.standard_normal(examples)
            errors = errors + math.sqrt(0.3) * random.standard_normal((seeds, examples))
            errors *= 1 + spread * random.standard_normal((seeds, 1))
            low, high = regression_score(errors, np.zeros(examples), 0.0).interval
            covered += low <= math.sqrt(1 + spread**2) <= high
        what = f"{seeds} seeds, {examples:,} examples, scales differ by {100 * spread:g} %"
        yield Case(what, covered / draws, draws)


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
    "pseudovalues": _pseudovalues,
    "regression_score": _regression_score,
    "reliability": _reliability,
    "wilson_interval": _wilson_interval,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--only", choices=["normal", *sorted(SIMULATIONS)])
    parser.add_argument("--csv", type=Path, help="write every situation of compare here")
    options = parser.parse_args()
    print(
        f"downslope {version('downslope')}, NumPy {np.__version__}, SciPy {version('scipy')}, "
        f"Python {platform.python_version()}; up to {options.draws} draws a row\n"
    )
    if options.only in (None, "normal"):
        print_normal_model()
    for name in SIMULATIONS if options.only is None else {options.only} & SIMULATIONS.keys():
        print(f"\n| `{name}` | coverage (%) | draws |\n|---|---|---|")
        cases = SIMULATIONS[name](options.draws)
        for what, share, draws in (
            _compare(options.draws, options.csv) if name == "compare" else cases
        ):
            print(f"| {what} | {100 * share:.1f} | {draws or 'exact'} |", flush=True)


if __name__ == "__main__":
    main()
