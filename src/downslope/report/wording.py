"""How numbers and settings are written, everywhere the same."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from markupsafe import Markup, escape

from downslope.reconstruction import AutoencoderResult
from downslope.report.formats import duration as duration
from downslope.report.formats import loss, percent, plural, points, times
from downslope.report.formats import number as figure
from downslope.report.statements import certainty as certainty
from downslope.report.statements import describe as describe
from downslope.report.statements import hidden as hidden
from downslope.report.statements import outcomes as outcomes
from downslope.report.statements import paired as paired
from downslope.report.statements import parts as parts
from downslope.report.statements import verdict as verdict
from downslope.results import DataResult, Results
from downslope.search import (
    SearchResult,
)
from downslope.statistics import wilson_interval


def kinds(data: DataResult) -> str:
    """Say how many classes the examples are of, if they have labels."""
    return f"{len(data.class_names)} classes" if data.class_names else "without labels"


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
