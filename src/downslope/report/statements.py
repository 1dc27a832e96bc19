"""Sentences in which a score stands beside the network that reached it.

Each is made of the one object that holds both, a trial or a final training, so that they cannot
come from different ones.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from downslope.report.wording import certainty, describe, outcomes, percent, plural
from downslope.results import Results
from downslope.search import RefitResult, SearchResult, Trial

Part = Literal["search", "variants"]


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
    leader = led(search)
    return (
        f"{plural(len(search.trials), 'trial')}: {outcomes(search.trials)}. "
        f"{leader[0].upper()}{leader[1:]}."
    )


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


def chosen_network(search: SearchResult) -> str:
    """Describe the chosen trial in a sentence, where another one led the search."""
    trial = search.chosen
    if trial is None or _leads(search, trial):
        return ""
    return f"Trial {trial.id} is {describe(trial)}."


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
    before, after = _fields(trial), _fields(refit)
    changes = [f"{name} = {after[name]}" for name in after if after[name] != before.get(name)]
    text = f"the settings of trial {trial.id}"
    return f"{text} with {', '.join(changes)}" if changes else text


def _fields(one: Trial | RefitResult) -> dict[str, Any]:
    network, training = one.member.network, one.member.training
    return msgspec.structs.asdict(network) | msgspec.structs.asdict(training)
