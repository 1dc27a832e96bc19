"""Every interval has its coverage measured: few situations here, a table in the docs."""

import importlib.util
import inspect
import sys
from itertools import islice
from pathlib import Path

import pytest
from scipy import stats

from downslope import statistics

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("coverage_table", ROOT / "benchmarks/coverage.py")
assert _spec is not None and _spec.loader is not None
table = importlib.util.module_from_spec(_spec)
sys.modules["coverage_table"] = table
_spec.loader.exec_module(table)

# These return no interval, or that of `mean_interval`.
PLAIN = {"confidence_of", "confident_mistakes", "effect", "verdict_of"}


def at_least(share: float, draws: int) -> float:
    """Return what a true coverage of `share` falls short of once in 10,000 times."""
    return float(stats.binom.ppf(1e-4, draws, share)) / draws


def test_every_interval_has_its_coverage_measured() -> None:
    public = {n for n in statistics.__all__ if inspect.isfunction(getattr(statistics, n))}
    assert set(table.SIMULATIONS) == public - PLAIN
    page = (ROOT / "docs/statistics.md").read_text("utf-8")
    for name in table.SIMULATIONS:
        assert f"| `{name}` | coverage" in page, f"{name} has no table"


@pytest.mark.parametrize(
    ("seeds", "examples", "spread"),
    [
        ((5, 5), 2000, (0.005, 0.005)),  # both sources alike: two intervals apart erred in 12 %
        ((2, 2), 200, (0.02, 0.02)),
        ((2, 20), 500, (0.02, 0.02)),  # Welch's interval over seeds alone errs in 12 %
        ((3, 3), 500, (0.0, 0.02)),
        ((20, 20), 500, (0.0, 0.0)),  # an interval over seeds alone errs in more than 15 %
        ((5, 5), 5000, (0.02, 0.02)),  # one over examples alone in more than half
    ],
)
def test_a_verdict_between_equals_is_rare(
    seeds: tuple[int, int], examples: int, spread: tuple[float, float]
) -> None:
    draws = 300
    coverage = table.coverage_of_compare(table.Networks(seeds, examples, 0.88, spread), draws)
    assert coverage >= at_least(0.94, draws)


def test_seeds_near_one_are_skewed_and_verdicts_still_rarely_wrong() -> None:
    # With each side's variance taken at its own accuracy 6.8 % were wrong.
    networks = table.Networks((3, 5), 2000, 0.99, (0.005, 0.0))
    assert table.coverage_of_compare(networks, 3000) >= 0.945


@pytest.mark.parametrize("seeds", table.SEEDS)
def test_no_verdict_of_the_normal_model_is_wrong_in_more_than_six_percent(
    seeds: tuple[int, int],
) -> None:
    assert table.NormalModel(seeds).worst() <= 0.06


@pytest.mark.parametrize("seeds", table.SEEDS)
def test_where_seeds_agree_the_power_is_that_of_the_test_over_examples(
    seeds: tuple[int, int],
) -> None:
    assert table.power(seeds, 0.0) == pytest.approx(0.9, abs=0.001)
    if min(seeds) >= 5:
        assert table.power(seeds, 1.0) > 0.72, "80 % of that"


@pytest.mark.parametrize(
    ("seeds", "examples", "accuracy", "spread"),
    [(3, 500, 0.88, 0.02), (5, 2000, 0.88, 0.005), (10, 200, 0.99, 0.0), (20, 500, 0.6, 0.0)],
)
def test_the_interval_of_a_mean_accuracy_covers_seeds_and_examples(
    seeds: int, examples: int, accuracy: float, spread: float
) -> None:
    draws = 200
    networks = table.Networks((seeds, 1), examples, accuracy, (spread, 0.0))
    assert table.coverage_of_accuracy(networks, draws) >= at_least(0.94, draws)


def test_the_interval_covers_a_true_gain_and_is_not_blunt() -> None:
    draws = 300
    networks = table.Networks((10, 10), 500, 0.85, (0.01, 0.01), gain=0.03)
    coverage = table.coverage_of_compare(networks, draws)
    assert at_least(0.95, draws) <= coverage < 1, "always is too wide"


@pytest.mark.parametrize(
    ("name", "draws", "most"),
    [("mean_interval", 300, 3), ("reliability", 800, 1), ("class_scores", 400, 3)],
)
def test_other_intervals_cover(name: str, draws: int, most: int) -> None:
    for case in islice(table.SIMULATIONS[name](draws), most):
        assert case.coverage >= at_least(0.93, case.draws), case
