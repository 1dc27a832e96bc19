"""A searched network beside scikit-learn's own under HalvingRandomSearchCV, on its bundled tables.

Usage: python benchmarks/estimators.py [--splits 10] [--sets iris wine ...]

Both draw 20 settings from the same space
(hidden layers, units, learning rate, L2 penalty, batch size), are judged on 5 folds, train at most
100 epochs with Adam on standardized columns (y too) and use two jobs. They alternate; each split
holds out 30 % of the rows, on which the score is taken, and is the same for both.
"""

import argparse
import os
import time
import warnings

import numpy as np
import scipy.stats
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from downslope.engines import hardware, versions
from downslope.estimators import MLPSearchClassifier, MLPSearchRegressor
from downslope.search import Range

SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes")
HELD_OUT = 0.3
TRIALS, EPOCHS, JOBS, LAYERS, UNITS = 20, 100, 2, (1, 2, 3), (8, 16, 32, 64)
BATCHES, PENALTIES = [16, 32, 64], [0.0, 1e-4, 1e-3, 1e-2]


def theirs(regression: bool, seed: int):
    """Make scikit-learn's search; it halves on rows, as it does by default."""
    network = (MLPRegressor if regression else MLPClassifier)(max_iter=EPOCHS, random_state=seed)
    model = make_pipeline(StandardScaler(), network)
    prefix = f"{type(network).__name__.lower()}__"
    if regression:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
        prefix = "regressor__" + prefix
    space = {
        "hidden_layer_sizes": [(u,) * n for n in LAYERS for u in UNITS],
        "learning_rate_init": scipy.stats.loguniform(1e-3, 3e-2),
        "alpha": PENALTIES,
        "batch_size": BATCHES,
    }
    return HalvingRandomSearchCV(
        model,
        {prefix + name: values for name, values in space.items()},
        n_candidates=TRIALS,
        min_resources="exhaust",
        cv=5,
        random_state=seed,
        n_jobs=JOBS,
    )


def ours(regression: bool, seed: int):
    """Make downslope's search."""
    space = {
        "hidden_layers": list(LAYERS),
        "units": list(UNITS),
        "learning_rate": Range(low=1e-3, high=3e-2, log=True),
        "weight_decay": PENALTIES,
        "batch_size": BATCHES,
    }
    search = MLPSearchRegressor if regression else MLPSearchClassifier
    return search(
        space, settings={"epochs": EPOCHS}, trials=TRIALS, cv=5, random_state=seed, n_jobs=JOBS
    )


def interval(values: list[float]) -> str:
    """Return mean and 95 % interval: the corrected resampled t, since splits share their rows.

    Nadeau and Bengio (2003), Inference for the generalization error, section 3.
    """
    error = np.std(values, ddof=1) * np.sqrt(1 / len(values) + HELD_OUT / (1 - HELD_OUT))
    half = error * scipy.stats.t.ppf(0.975, len(values) - 1)
    return f"{np.mean(values):.3f} ± {half:.3f}"


def main(splits: int, names: list[str]) -> None:
    # Classes missing in a halving's first rung, trainings that end at 100 epochs: both expected.
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    print(hardware(), versions())
    print(f"{splits} splits, alternating")
    print("| data | rows | scikit-learn | downslope | difference | s | s | ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    theirs(False, 0).fit(*datasets.load_iris(return_X_y=True))  # workers and imports
    ours(False, 0).fit(*datasets.load_iris(return_X_y=True))
    for name in names:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        regression = name == "diabetes"
        scores: list[list[float]] = [[], []]
        seconds: list[list[float]] = [[], []]
        for seed in range(splits):
            parts = train_test_split(
                X, y, test_size=HELD_OUT, random_state=seed, stratify=None if regression else y
            )
            pair = list(enumerate((theirs, ours)))
            for i, make in pair if seed % 2 == 0 else pair[::-1]:
                search = make(regression, seed)
                start = time.perf_counter()
                search.fit(parts[0], parts[2])
                seconds[i].append(time.perf_counter() - start)
                scores[i].append(search.score(parts[1], parts[3]))
        difference = [b - a for a, b in zip(*scores, strict=True)]
        ratio = np.median(np.array(seconds[0]) / np.array(seconds[1]))
        print(
            f"| {name} | {len(X)} | {interval(scores[0])} | {interval(scores[1])} "
            f"| {interval(difference)} | {np.median(seconds[0]):.1f} "
            f"| {np.median(seconds[1]):.1f} | {ratio:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    main(options.splits, options.sets)
