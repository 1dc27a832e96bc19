"""How much each varied setting matters for what trials reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from downslope.search.optuna import optuna
from downslope.search.samplers import quiet_study
from downslope.search.settings import Settings, Value
from downslope.search.spaces import Range, Space
from downslope.search.trials import Trial

FEWEST = 10  # completed trials, below which a forest tells nothing


def importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Estimate the share of each varied setting in the variance of the validation accuracy.

    Fits a random forest to the completed trials and splits its variance (fANOVA, Hutter, Hoos and
    Leyton-Brown 2014). Empty with fewer than ten completed trials or where all are equally good.
    Pruned trials are left out: their accuracies are not of full trainings.

    Args:
        trials: of a search, whatever their outcome.
        space: what varied.
    """
    done = [t for t in trials if t.outcome == "completed" and t.validation_accuracy is not None]
    varied = [name for name in space.values if len({getattr(t.settings, name) for t in done}) > 1]
    accuracies = {t.validation_accuracy for t in done}
    if len(done) < FEWEST or len(accuracies) < 2 or not varied:
        return {}
    # Here, not above: scikit-learn's forests take half a second to load.
    from optuna.importance import FanovaImportanceEvaluator

    study = quiet_study()
    for trial in done:
        shown = {name: _coordinate(trial.settings, name, space) for name in varied}
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.COMPLETE,
                value=trial.validation_accuracy,
                params={name: value for name, (value, _) in shown.items()},
                distributions={name: kind for name, (_, kind) in shown.items()},
            )
        )
    found = FanovaImportanceEvaluator(seed=0).evaluate(study)
    total = sum(found.values())
    if not np.isfinite(total) or total <= 0:
        return {}
    return {name: float(found[name] / total) for name in sorted(found, key=lambda n: -found[n])}


def _coordinate(
    settings: Settings, name: str, space: Space
) -> tuple[Value, optuna.distributions.BaseDistribution]:
    value, values = getattr(settings, name), space.values[name]
    if isinstance(values, list) and isinstance(values[0], str | bool):
        return value, optuna.distributions.CategoricalDistribution(space.possible(name))
    if isinstance(values, Range):
        low, high = min(values.low, value), max(values.high, value)
        return float(value), optuna.distributions.FloatDistribution(
            low, high, log=values.log and low > 0
        )
    numbers = [float(v) for v in [*values, value]]
    low, high = min(numbers), max(numbers)
    return float(value), optuna.distributions.FloatDistribution(
        low, high, log=low > 0 and high >= 10 * low
    )
