"""Sentences in which a score stands beside the network that reached it.

Each is made of the one object that holds both, a trial or a final training, so that they cannot
come from different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from downslope.report.formats import (
    capitalized,
    percent,
    percent_interval,
    plural,
    points,
    points_interval,
)
from downslope.results import Results
from downslope.search import RefitResult, SearchResult, Trial
from downslope.statistics import Accuracy, Comparison, PairedTest

Part = Literal["search", "variants"]

Trained = Trial | RefitResult
"""What holds a member beside the score that it reached."""


def standing(search: SearchResult, trial: int) -> str:
    """Say what a trial is to its search: the best of it, the chosen one, or both.

    The best of the search is chosen where none was trained again.

    >>> standing(SearchResult(trials=[], best=None, validation_examples=9), 0)
    ''
    """
    names = {"best": search.best}
    if search.choice is not None:
        names["chosen"] = search.chosen
    return " and ".join(name for name, one in names.items() if one and one.id == trial)


def rank(standing: str) -> int:
    """Order standings: what is drawn last lies on top.

    >>> sorted(["chosen", "", "best"], key=rank)
    ['', 'best', 'chosen']
    """
    return 0 if not standing else 1 if standing == "best" else 2


def is_chosen(search: SearchResult, trial: int) -> bool:
    """Tell whether a trial is the one whose settings are trained finally."""
    return search.chosen is not None and search.chosen.id == trial


def led(search: SearchResult) -> str:
    """Say which trial led the search, with what, and on how many examples.

    >>> led(SearchResult(trials=[], best=None, validation_examples=9))
    'no best, as none completed'
    """
    best = search.best
    if best is None:
        return "no best, as none completed"
    return (
        f"trial {best.id} led with {percent(best.validation_accuracy)} on "
        f"{search.validation_examples:,} validation examples ({describe(best)})"
    )


def searched(search: SearchResult) -> str:
    """Count the trials by outcome and say which led, in sentences.

    >>> searched(SearchResult(trials=[], best=None, validation_examples=9))
    '0 trials: none finished. No best, as none completed.'
    """
    count = plural(len(search.trials), "trial")
    counts = f"{count}: {outcomes(search.trials)}"
    if len(search.trials) > 1 and all(trial.outcome == "completed" for trial in search.trials):
        counts = f"All {count} completed"
    return f"{counts}. {capitalized(led(search))}."


def chosen(search: SearchResult) -> str:
    """Say which of the best trials was chosen; empty where none was trained again."""
    choice, trial = search.choice, search.chosen
    if choice is None or trial is None:
        return ""
    again = next((c for c in choice.candidates if c.trial == choice.chosen), None)
    if again is None:
        return f"no new training of the best completed, so trial {trial.id} stays"
    count = len(choice.candidates)
    several = f"of the best {count}, " if count > 1 else ""
    text = (
        f"{several}trained again {choice.seeds} times, trial {trial.id} was chosen with a mean of "
        f"{percent(again.mean)}"
    )
    return text if _leads(search, trial) else f"{text} ({describe(trial)})"


def _leads(search: SearchResult, trial: Trial) -> bool:
    return search.best is not None and search.best.id == trial.id


def final_of(results: Results, part: Part) -> RefitResult | None:
    """Return the final training that follows a search."""
    if part == "search":
        return results.refit
    return None if results.variants is None else results.variants.refit


def network(results: Results, part: Part) -> str:
    """Describe the network of a final training, and say where its settings are from."""
    refit = final_of(results, part)
    assert refit is not None
    text = f"{describe(refit)}; {refit.member.network.parameters:,} parameters"
    origin = _origin(results, part, refit)
    return f"{text}; {origin}" if origin else text


def final(results: Results, part: Part) -> str:
    """Say what was trained finally, on what, and what it reaches on the test set."""
    refit = final_of(results, part)
    assert refit is not None
    text = (
        f"{refit.member.network.label} ({network(results, part)}), trained on all "
        f"{refit.examples:,} training and validation examples with "
        f"{plural(len(refit.seeds), 'seed')}"
    )
    accuracy = refit.test_accuracy
    if accuracy is None:
        return f"{text}: no seed completed, so there is no test accuracy."
    several = "a mean test accuracy" if len(accuracy.per_seed) > 1 else "a test accuracy"
    text += f", reaches {several} of {percent(accuracy.mean)}, {certainty(accuracy)}."
    if len(accuracy.per_seed) > 1:
        text += f" By seed: {', '.join(map(percent, accuracy.per_seed))}."
    return text


def _origin(results: Results, part: Part, refit: RefitResult) -> str:
    """Say which trial's settings were trained, and what was changed in them; empty if unknown."""
    recipe = results.recipe if part == "search" else results.recipe.variants
    if recipe.refit.choice is not None:
        return "set by the recipe, whatever a search finds"
    search = results.search if part == "search" else results.variants and results.variants.search
    trial = None if search is None else search.chosen
    if trial is None:
        return ""
    before, after = fields(trial), fields(refit)
    changes = [f"{name} = {after[name]}" for name in after if after[name] != before.get(name)]
    text = f"the settings of trial {trial.id}"
    return f"{text} with {', '.join(changes)}" if changes else text


def fields(one: Trial | RefitResult) -> dict[str, Any]:
    """Return all settings of a member by name."""
    network, training = one.member.network, one.member.training
    return msgspec.structs.asdict(network) | msgspec.structs.asdict(training)


def parts(trained: Trained) -> list[str]:
    """Say what makes a variant: its shape, activation, normalization and dropout.

    >>> from types import SimpleNamespace
    >>> from downslope.search import Settings
    >>> settings = Settings(hidden_layers=2, units=64, normalization="batch", dropout=0.2)
    >>> parts(SimpleNamespace(member=settings.member(784, 10, seed=1)))
    ['2×64', 'relu', 'batch norm', 'dropout 0.2']
    """
    network = trained.member.network
    optional = {
        "batch norm": network.normalization != "none",
        f"dropout {network.dropout:g}": network.dropout,
    }
    return [hidden(trained), network.activation, *(text for text, used in optional.items() if used)]


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
    shape, *architecture = parts(trained)
    rate = f"learning rate {training.learning_rate:.4g}"
    if training.schedule != "constant":
        rate += f" ({training.schedule.replace('_', '-')})"
    momentum = "Nesterov momentum" if training.nesterov else "momentum"
    initialization = network.initialization
    encoding = getattr(getattr(trained, "settings", trained), "encoding", None)
    texts = {
        f"{shape}, {architecture[0]}": True,
        f"{initialization} initialization": initialization != "pytorch",
        f"weights times {network.weight_scale:g}": network.weight_scale != 1,
        ", ".join(architecture[1:]): architecture[1:],
        f"{training.optimizer}, {rate}": True,
        f"{momentum} {training.momentum:g}": training.momentum,
        f"weight decay {training.weight_decay:g}": training.weight_decay,
        f"label smoothing {training.label_smoothing:g}": training.label_smoothing,
        f"gradients clipped at {training.clip_norm:g}": training.clip_norm,
        f"batch {training.batch_size}, {plural(training.epochs, 'epoch')}": True,
        f"{encoding} encoding": encoding,
    }
    return ", ".join(text for text, used in texts.items() if used)


def outcomes(trials: Sequence[Trial]) -> str:
    """Count outcomes, those that did not happen left out.

    >>> outcomes([])
    'none finished'
    """
    names = ("completed", "pruned", "diverged", "failed")
    counts = {name: sum(t.outcome == name for t in trials) for name in names}
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none finished"


def over(accuracy: Accuracy) -> str:
    """Say what the interval of an accuracy covers.

    >>> over(Accuracy(mean=0.8, per_seed=[0.8], interval=(0.7, 0.9), spread=None, examples=9))
    'test examples'
    """
    return "seeds and test examples" if accuracy.interval_method == "crossed" else "test examples"


def certainty(accuracy: Accuracy) -> str:
    """Say how sure an accuracy is: its interval, and the spread over seeds.

    >>> certainty(Accuracy(mean=0.8, per_seed=[0.8], interval=(0.7, 0.9), spread=None, examples=9))
    '95 % interval over test examples 70.00 to 90.00 %; one seed, so no spread is known'
    """
    text = f"95 % interval over {over(accuracy)} {percent_interval(accuracy.interval)}"
    if accuracy.spread is None:
        return f"{text}; one seed, so no spread is known"
    spread = points(accuracy.spread, sign=False)
    text += f"; spread over {len(accuracy.per_seed)} seeds {spread} points"
    if accuracy.seed_interval is None:
        return text
    interval = percent_interval(accuracy.seed_interval)
    return f"{text}, 95 % interval of the mean over other seeds {interval}"


def verdict(comparison: Comparison) -> str:
    """Say whether a variant beats the baseline, by how much and by which interval.

    >>> verdict(Comparison(difference=0.0083, interval=(0.002, 0.0146), seed_spread=0.002,
    ...                    verdict="better", covers="seeds and examples"))
    'better than the baseline by +0.83 points, 95 % interval +0.20 to +1.46 over seeds and ...
    """
    difference = points(comparison.difference)
    undecided = f"undecided: {difference} points against the baseline"
    interval = comparison.interval and f"95 % interval {points_interval(comparison.interval)} over"
    if comparison.covers == "examples" or interval is None:
        text = f"{undecided}, but a single seed on a side does not show what other seeds would do"
        return text if interval is None else f"{text} ({interval} test examples alone)"
    both = comparison.covers == "seeds and examples"
    interval += " seeds and test examples" if both else " seeds"
    if comparison.verdict == "undecided":
        return f"{undecided}, {interval}" + (", which includes zero" if both else "")
    return f"{comparison.verdict} than the baseline by {difference} points, {interval}"


def paired(test: PairedTest) -> str:
    """Say how the first seeds of two sides differ on the same examples.

    >>> print(paired(PairedTest(examples=9, first_only=1, second_only=2, p_value=1.0)))
    Of the 9 test examples, the baseline's first seed alone classifies 1 correctly and the ...
    """
    p = "below 0.001" if test.p_value < 0.001 else f"= {test.p_value:.3f}"
    return (
        f"Of the {test.examples:,} test examples, the baseline's first seed alone classifies "
        f"{test.first_only:,} correctly and the variant's first seed alone {test.second_only:,} "
        f"(exact McNemar test of these two networks: p {p}; not part of the verdict)."
    )
