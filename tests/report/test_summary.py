import msgspec
import numpy as np
import pytest

from downslope.report import summary
from downslope.report.formats import points
from downslope.results import Results
from downslope.search import (
    SearchResult,
)
from downslope.stages import STAGES
from downslope.statistics import Accuracy, compare


def test_every_stage_has_its_row_the_answer_first(results: Results) -> None:
    labels = [label for label, _ in summary(results)]
    assert labels == [
        "test accuracy",
        "data",
        "final model",
        "search",
        "variants",
        "landscape",
        "autoencoder",
        "theory",
        "test set",
        "time",
    ]


def test_the_numbers_are_those_of_the_results(results: Results) -> None:
    rows = dict(summary(results))
    assert results.refit and results.refit.test_accuracy
    low, high = results.refit.test_accuracy.interval
    assert f"{100 * results.refit.test_accuracy.mean:.2f} %" in rows["test accuracy"]
    assert f"{100 * low:.2f} to {100 * high:.2f} %" in rows["test accuracy"]
    assert results.search and results.search.best
    assert results.search.best.validation_accuracy is not None
    assert f"{100 * results.search.best.validation_accuracy:.2f} %" in rows["search"]
    assert rows["search"].startswith("3 trials, 3 completed")
    assert "64-" in rows["final model"] and "2 seeds" in rows["final model"]
    assert results.landscape
    for share in results.landscape.explained_variance:
        assert f"{100 * share:.1f} %" in rows["landscape"]
    assert f"{results.landscape.path[-1].true_loss:.4f}" in rows["landscape"]
    assert f"{results.landscape.path[-1].projected_loss:.4f}" in rows["landscape"]
    assert "16 components" in rows["autoencoder"]
    # once monitored by epoch, once per seed of the variant, once for the autoencoder
    assert rows["test set"].startswith("opened 4 times, 360 examples")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_did_not_run_is_named(results: Results, stage: str) -> None:
    setattr(results, stage, None)
    assert dict(summary(results))["not run"] == stage


def test_nothing_run(results: Results) -> None:
    for stage in STAGES:
        setattr(results, stage, None)
    rows = dict(summary(results))
    assert list(rows) == ["test accuracy", "data", "test set", "time", "not run"]
    assert rows["test accuracy"].startswith("none")


def hits(seeds: int, count: int) -> np.ndarray:
    """Make seeds that classify `count` of 2,000 examples correctly, the same ones."""
    return np.repeat(np.arange(2000)[None] < count, seeds, axis=0)


@pytest.mark.parametrize(
    ("plain", "variant", "words"),
    [
        (
            hits(3, 1740),
            hits(3, 1768),
            "better than the baseline by +1.40 points, 95 % int",
        ),
        (
            hits(3, 1768),
            hits(3, 1740),
            "worse than the baseline by −1.40 points, 95 % int",
        ),
        (
            hits(3, 1740),
            hits(3, 1741),
            "undecided: +0.05 points against the baseline, 95",
        ),
        (
            hits(1, 1720),
            hits(1, 1800),
            "undecided: +4.00 points against the baseline, but a",
        ),
    ],
)
def test_the_verdict_on_variants_has_the_interval_that_decides(
    results: Results, plain: np.ndarray, variant: np.ndarray, words: str
) -> None:
    assert results.variants
    compared = compare(plain, variant)
    assert compared.interval is not None
    results.variants = msgspec.structs.replace(results.variants, comparison=compared)
    row = dict(summary(results))["variants"]
    assert words in row
    assert " to ".join(points(end) for end in compared.interval) in row


def test_diverged_trials_are_counted_and_none_is_best(results: Results) -> None:
    assert results.search
    results.search = diverged(results.search)
    row = dict(summary(results))["search"]
    assert row == "3 trials, 3 diverged; no best, as none completed"


def test_an_interrupted_search_says_how_many_were_planned(results: Results) -> None:
    del results.seconds["search"]
    search = msgspec.structs.replace(results.recipe.search, trials=50)
    results.recipe = msgspec.structs.replace(results.recipe, search=search)
    assert "interrupted, 50 were planned" in dict(summary(results))["search"]


def test_checks_and_steps_that_do_not_hold_are_named(results: Results) -> None:
    assert results.theory
    checks, steps = list(results.theory.checks), list(results.theory.steps)
    checks = [msgspec.structs.replace(c, verdict="PASS") for c in checks]
    results.theory = msgspec.structs.replace(results.theory, checks=checks)
    good = dict(summary(results))["theory"]
    assert good.startswith(f"{len(checks)} of {len(checks)} checks pass, 9 of 9 steps verified, ")
    checks[2] = msgspec.structs.replace(checks[2], verdict="FAIL")
    steps[4] = msgspec.structs.replace(steps[4], verified=False)
    results.theory = msgspec.structs.replace(results.theory, checks=checks, steps=steps)
    row = dict(summary(results))["theory"]
    assert row.startswith(f"{len(checks) - 1} of {len(checks)} checks pass, 8 of 9 steps")
    assert f"{checks[2].name}: FAIL" in row
    assert f"step {steps[4].name}: not verified" in row


def test_a_refit_without_a_completed_seed(results: Results) -> None:
    assert results.refit
    results.refit = msgspec.structs.replace(
        results.refit, test_accuracy=None, stopped=["seed 541 diverged: loss was nan"]
    )
    rows = dict(summary(results))
    assert rows["test accuracy"] == "none, seed 541 diverged: loss was nan"
    assert "seed 541 diverged" in rows["final model"]


def test_one_seed_has_no_spread(results: Results) -> None:
    assert results.refit
    alone = Accuracy(mean=0.9, per_seed=[0.9], interval=(0.8, 0.95), spread=None, examples=9)
    results.refit = msgspec.structs.replace(results.refit, test_accuracy=alone)
    assert "one seed, so no spread is known" in dict(summary(results))["test accuracy"]


def diverged(search: SearchResult) -> SearchResult:
    trials = [
        msgspec.structs.replace(
            trial, outcome="diverged", reason="loss was nan", validation_accuracy=None, curve=[]
        )
        for trial in search.trials
    ]
    return SearchResult(trials=trials, best=None, validation_examples=9)
