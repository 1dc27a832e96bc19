"""How numbers and settings are written, everywhere the same."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence

from markupsafe import Markup, escape

from downslope.reconstruction import AutoencoderResult
from downslope.results import DataResult, Results
from downslope.search import (
    RefitResult,
    SearchResult,
    Trial,
)
from downslope.statistics import Accuracy, Comparison, PairedTest, wilson_interval

Trained = Trial | RefitResult
"""What holds a member beside the score that it reached."""


def kinds(data: DataResult) -> str:
    """Say how many classes the examples are of, if they have labels."""
    return f"{len(data.class_names)} classes" if data.class_names else "without labels"


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as a percentage.

    >>> percent(0.87721), percent(None)
    ('87.72 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float, *, sign: bool = True) -> str:
    """Write a difference of shares in percentage points.

    >>> points(0.0125), points(-0.002), points(0.002, sign=False)
    ('+1.25', '−0.20', '0.20')
    """
    text = f"{100 * difference:+.2f}" if sign else f"{100 * difference:.2f}"
    return text.replace("-", "−")


def figure(value: float | None, digits: int = 4) -> str:
    """Write a measured number with some significant digits.

    >>> figure(0.0098768), figure(12345.6), figure(None), figure(1e-7)
    ('0.009877', '12,346', '–', '1.000e-07')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e7):
        return f"{value:.{digits - 1}e}"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits if value == 0 else digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{decimals}f}"


def loss(value: float | None) -> str:
    """Write a loss with four decimals, as training programs do.

    >>> loss(0.24936), loss(None)
    ('0.2494', 'not finite')
    """
    return "not finite" if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Write a time.

    >>> duration(0.53), duration(42.2), duration(312), duration(7260)
    ('0.5 s', '42 s', '5 min 12 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def prose(text: str) -> Markup:
    """Set simple mathematics within a sentence as one would by hand.

    >>> print(prose("E[x^2], z_{l-1}, w_j, j != k, 2^-width, <b>"))
    E[x²], z<sub>l−1</sub>, w<sub>j</sub>, j ≠ k, 2<sup>−width</sup>, &lt;b&gt;
    """
    line = (
        text.replace("!=", "≠")
        .replace("<=", "≤")
        .replace("+-", "±")
        .replace("^2", "²")
        .replace(" * ", " · ")
    )
    safe = str(escape(line))
    safe = re.sub(r"\b([A-Za-z])_(?:\{([^}]*)\}|([a-z0-9]))", _lowered, safe)
    return Markup(re.sub(r"\^(-?\w+)", _raised, safe))


def _lowered(found: re.Match[str]) -> str:
    return f"{found[1]}<sub>{(found[2] or found[3]).replace('-', '−')}</sub>"


def _raised(found: re.Match[str]) -> str:
    return f"<sup>{found[1].replace('-', '−')}</sup>"


def plural(count: int, noun: str) -> str:
    """Count things.

    >>> plural(1, "seed"), plural(1200, "trial")
    ('1 seed', '1,200 trials')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(count: int) -> str:
    """Say how often.

    >>> times(0), times(1), times(4)
    ('never', 'once', '4 times')
    """
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def parts(trained: Trained) -> list[str]:
    """Say what makes a variant: its shape, activation, normalization and dropout.

    >>> from types import SimpleNamespace
    >>> from downslope.search import Settings
    >>> settings = Settings(hidden_layers=2, units=64, normalization="batch", dropout=0.2)
    >>> parts(SimpleNamespace(member=settings.member(784, 10, seed=1)))
    ['2×64', 'relu', 'batch norm', 'dropout 0.2']
    """
    network = trained.member.network
    found = [hidden(trained), network.activation]
    if network.normalization != "none":
        found.append("batch norm")
    if network.dropout:
        found.append(f"dropout {network.dropout:g}")
    return found


def hidden(trained: Trained) -> str:
    """Write the hidden layers.

    >>> from types import SimpleNamespace
    >>> from downslope.search import Settings
    >>> [hidden(SimpleNamespace(member=Settings(hidden_layers=n).member(9, 3, 1))) for n in (2, 0)]
    ['2×40', 'no hidden layer']
    """
    widths = trained.member.network.widths[1:-1]
    if not widths:
        return "no hidden layer"
    return f"{len(widths)}×{widths[0]}" if len(set(widths)) == 1 else "-".join(map(str, widths))


def describe(trained: Trained) -> str:
    """Say all that sets a member apart but its seed, in one line.

    It takes what the member reached along with it, so that both come from one object.

    >>> from types import SimpleNamespace
    >>> from downslope.search import Settings
    >>> describe(SimpleNamespace(member=Settings().member(784, 10, seed=1)))
    '3×40, relu, sgd, learning rate 0.01, batch 32, 20 epochs'
    """
    network, training = trained.member.network, trained.member.training
    rate = f"learning rate {training.learning_rate:.4g}"
    if training.schedule != "constant":
        rate += f" ({training.schedule.replace('_', '-')})"
    found = [*parts(trained), training.optimizer, rate]
    if network.weight_scale != 1:
        found.insert(2, f"weights times {network.weight_scale:g}")
    if network.initialization != "pytorch":
        found.insert(2, f"{network.initialization} initialization")
    if training.momentum:
        kind = "Nesterov momentum" if training.nesterov else "momentum"
        found.append(f"{kind} {training.momentum:g}")
    if training.weight_decay:
        found.append(f"weight decay {training.weight_decay:g}")
    if training.label_smoothing:
        found.append(f"label smoothing {training.label_smoothing:g}")
    if training.clip_norm:
        found.append(f"gradients clipped at {training.clip_norm:g}")
    return ", ".join([*found, f"batch {training.batch_size}", plural(training.epochs, "epoch")])


def outcomes(trials: Sequence[Trial]) -> str:
    """Count outcomes, those that did not happen left out.

    >>> outcomes([])
    'none finished'
    """
    names = ("completed", "pruned", "diverged", "failed")
    counts = {name: sum(t.outcome == name for t in trials) for name in names}
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none finished"


def choice(search: SearchResult) -> str:
    """Say how one of the best trials was chosen, and how optimistic the search was.

    >>> choice(SearchResult(trials=[], best=None, validation_examples=9))
    ''
    """
    made = search.choice
    if made is None:
        return ""
    on = {
        "validation": "on the same validation examples",
        "second": f"on {made.examples:,} validation examples that had ranked nothing",
        "folds": f"on {made.seeds} folds of all training examples",
    }[made.evidence]
    count = len(made.candidates)
    text = f"The best {plural(count, 'trial')} trained again {made.seeds} times {on}."
    if made.chosen is None or made.optimism is None:
        return f"{text} None of these trainings of the best trial completed."
    chosen = next(c for c in made.candidates if c.trial == made.chosen)
    first = made.candidates[0]
    text += f" Trial {made.chosen} is chosen, with a mean of {percent(chosen.mean)}"
    text += "." if count < 2 else f", itself the best of {count} means and so a little too high."
    text += f" The best of the search, trial {first.trial}, reached {percent(first.mean)} again: "
    gap = points(abs(made.optimism), sign=False)
    way = "above" if made.optimism > 0 else "below"
    text += f"the search was {gap} points {way} that."
    if made.optimism_interval is not None:
        low, high = made.optimism_interval
        text += f" Its optimism is {points(made.optimism)} points, 95 % interval "
        others = " and other examples" if first.interval_method == "crossed" else ""
        text += f"{points(low)} to {points(high)} over new trainings{others}."
    if made.evidence == "validation":
        text += (
            " That is the luck of its seed; its luck with these very examples stays in, and would "
            "show on others (search.choice: second or folds)."
        )
    return text


def at_chance(search: SearchResult, shares: Sequence[int]) -> str:
    """Count completed trials that do no better than always answering the most frequent class.

    Args:
        search: the search.
        shares: how many examples each class has.

    >>> at_chance(SearchResult(trials=[], best=None, validation_examples=9), [5, 4])
    ''
    """
    chance = max(shares, default=0) / max(1, sum(shares))
    # Above the upper end of the interval of such an answer, something was learnt.
    top = wilson_interval(chance, search.validation_examples)[1]
    accuracies = [t.validation_accuracy for t in search.trials if t.outcome == "completed"]
    poor = sum(a is not None and a <= top for a in accuracies)
    if not poor:
        return ""
    return f"{poor} of the completed did no better than answering the most frequent class."


def advice(results: Results) -> str:
    """Say what to try where nothing completed; empty where something did."""

    def sane(rate: float, low: float, high: float) -> float:
        return min(max(rate, low), high)

    search, refit = results.search, results.refit
    if search is not None and search.trials and search.best is None:
        count = plural(len(search.trials), "trial")
        rates = sorted(t.settings.learning_rate for t in search.trials)
        failed = next((t for t in search.trials if t.outcome == "failed"), None)
        if all(t.outcome == "failed" for t in search.trials) and failed is not None:
            return f"none of {count} could be trained; trial {failed.id}: {failed.reason}"
        return (
            f"none of {count} completed ({outcomes(search.trials)}) at learning rates from "
            f"{rates[0]:.3g} to {rates[-1]:.3g}; try search.space.learning_rate from "
            f"{sane(rates[0] / 1000, 1e-4, 1e-2):.1g} to {sane(rates[0] / 10, 1e-3, 1e-1):.1g}, "
            "search.settings.clip_norm = 1, or search.settings.normalization = 'batch'"
        )
    if refit is not None and refit.test_accuracy is None:
        rate = refit.member.training.learning_rate
        return (
            f"no seed of the final training completed ({'; '.join(refit.stopped)}); try "
            f"refit.settings.learning_rate = {sane(rate / 10, 1e-4, 1e-1):.1g}, "
            "or refit.settings.clip_norm = 1"
        )
    return ""


def in_a_sentence(results: Results) -> str:
    """Say what was trained and how good it is, for those who read no further."""
    refit, data = results.refit, results.data
    trained = ""
    if refit is not None:
        trained = (
            f"A network of {refit.member.network.label} units ({describe(refit)}), trained "
            f"on {refit.examples:,} examples of {data.name}, "
        )
    if refit is None or refit.test_accuracy is None:
        coder = results.autoencoder
        if coder is not None and coder.test_mse is not None:
            return (
                f"An autoencoder of {coder.member.network.label} units reconstructs the test "
                f"examples of {data.name} with a mean squared error of {figure(coder.test_mse)}."
            )
        return f"{trained or 'This run '}has no test accuracy."
    accuracy = refit.test_accuracy
    low, high = accuracy.interval
    several = f"mean of {plural(len(accuracy.per_seed), 'seed')}; "
    text = (
        f"{trained}classifies {percent(accuracy.mean)} of the {accuracy.examples:,} test examples "
        f"correctly ({several if len(accuracy.per_seed) > 1 else ''}95 % interval {100 * low:.2f} "
        f"to {percent(high)})."
    )
    openings = len(results.test_set.openings)
    return f"{text} The test set was opened {times(openings)}, and never used to choose anything."


def certainty(accuracy: Accuracy) -> str:
    """Say how sure an accuracy is: its interval, and the spread over seeds.

    >>> certainty(Accuracy(mean=0.8, per_seed=[0.8], interval=(0.7, 0.9), spread=None, examples=9))
    '95 % interval 70.00 to 90.00 %; one seed, so no spread is known'
    """
    low, high = accuracy.interval
    over = " over seeds and test examples" if accuracy.interval_method == "crossed" else ""
    text = f"95 % interval{over} {100 * low:.2f} to {100 * high:.2f} %"
    if accuracy.spread is None:
        return f"{text}; one seed, so no spread is known"
    spread = points(accuracy.spread, sign=False)
    text += f"; spread over {len(accuracy.per_seed)} seeds {spread} points"
    if accuracy.seed_interval is None:
        return text
    low, high = accuracy.seed_interval
    return (
        f"{text}, 95 % interval of the mean over other seeds {100 * low:.2f} to {100 * high:.2f} %"
    )


def verdict(comparison: Comparison) -> str:
    """Say whether a variant beats the plain winner, by how much and by which interval.

    >>> verdict(Comparison(difference=0.0083, interval=(0.002, 0.0146), seed_spread=0.002,
    ...                    verdict="better", covers="seeds and examples"))
    'better than the plain winner by +0.83 points, 95 % interval +0.20 to +1.46 over seeds and ...
    """
    difference = points(comparison.difference)
    if comparison.covers == "examples" or comparison.interval is None:
        text = (
            f"undecided: {difference} points against the plain winner, but a single seed on a "
            "side does not show what other seeds would do"
        )
        if comparison.interval is None:
            return text
        return f"{text} (95 % interval {_ends(comparison)} over test examples alone)"
    over = "seeds and test examples" if comparison.covers == "seeds and examples" else "seeds"
    measure = f"95 % interval {_ends(comparison)} over {over}"
    if comparison.verdict == "better":
        return f"better than the plain winner by {difference} points, {measure}"
    if comparison.verdict == "worse":
        return f"worse than the plain winner by {difference} points, {measure}"
    text = f"undecided: {difference} points against the plain winner, {measure}"
    return text if comparison.covers == "seeds" else f"{text}, which includes zero"


def _ends(comparison: Comparison) -> str:
    assert comparison.interval is not None
    return " to ".join(map(points, comparison.interval))


def paired(test: PairedTest) -> str:
    """Say how the first seeds of two sides differ on the same examples.

    >>> print(paired(PairedTest(examples=9, first_only=1, second_only=2, p_value=1.0)))
    Of the first seeds, 1 of the 9 test examples are classified correctly only by ... p = 1.000 ...
    """
    p = "below 0.001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
    return (
        f"Of the first seeds, {test.first_only:,} of the {test.examples:,} test examples are "
        f"classified correctly only by the plain winner and {test.second_only:,} only by the "
        f"variant (exact McNemar p {p} for these two networks; it decides nothing)."
    )


def final_training(coder: AutoencoderResult) -> str:
    """Write the training error of the last epoch, the mean over seeds as the test error is."""
    known = [value for value in coder.last_losses if value is not None]
    return loss(statistics.fmean(known) if known else coder.epochs[-1].train_loss)


def code_use(coder: AutoencoderResult) -> str:
    """Say how many code units are used, and of which seed pictures are; empty for an old run."""
    if coder.dead is None:
        return ""
    text = (
        f"Of the {coder.code_size} code units {coder.dead} are zero for every test example; an "
        f"example uses {percent(coder.active, 0)} of them on average. Pictures, and errors by "
        "class, pixel and example, are of the first seed that completed."
    )
    if coder.sparsity:
        text += f" The mean absolute code was added to the error with weight {coder.sparsity:g}."
    if coder.noisy_test_mse is not None:
        text += (
            " With the training's noise on the test inputs the error against the clean ones is "
            f"{figure(coder.noisy_test_mse)}, that of PCA {figure(coder.pca_noisy_test_mse)}."
        )
    return text


def rival_components(coder: AutoencoderResult) -> str:
    """Say with how many components PCA is compared: a table may have fewer columns than a code."""
    features = coder.member.network.widths[0]
    if coder.code_size <= features:
        return "as many components"
    return f"all its {plural(features, 'component')}"


def seed_errors(coder: AutoencoderResult) -> str:
    """Say how the errors of an autoencoder spread over its seeds, mean and standard deviation.

    >>> spread([0.0081, 0.0083])
    '0.00820 ± 0.00014'
    """
    parts = [
        ("training error of the first epoch", coder.first_losses),
        ("of the last", coder.last_losses),
        ("test error", coder.test_mses),
    ]
    return ", ".join(f"{name} {spread(values)}" for name, values in parts)


def spread(values: Sequence[float | None]) -> str:
    """Write the mean and the standard deviation of those values that there are.

    >>> spread([None]), spread([0.5, None])
    ('–', '0.50000')
    """
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    text = f"{statistics.fmean(known):.5f}"
    return text if len(known) == 1 else f"{text} ± {statistics.stdev(known):.5f}"
