"""What halving saves, whether it keeps the winner, and how busy a search keeps the cores.

Usage: python benchmarks/halving.py [--spaces published wide] [--trials 500] [--rows 4000]

"published" is the search of the recipe hw3 on Fashion-MNIST, 50 attempts on 48,000 examples; "wide"
has many trials over a wider space on some of the examples. Each is searched in full, with
successive halving and with Hyperband, by the same proposals. The winner of the full search is
sought among the trials that completed; the rank says where the halved search's winner stands in the
full one. "Busy" is the engine's own time divided by cores and wall time.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from downslope import load, load_recipe
from downslope.data import Examples, Scaling, split
from downslope.engines import cores, hardware, versions
from downslope.progress import drain
from downslope.recipe import SearchRecipe
from downslope.search import Halving, Range, SearchResult, search

METHODS = {
    "in full": Halving(),
    "halving": Halving(method="halving"),
    "hyperband": Halving(method="hyperband"),
}
WIDE = SearchRecipe(
    settings={"schedule": "one_cycle", "epochs": 18},
    space={
        "hidden_layers": [1, 2, 3, 4],
        "units": [20, 40, 80],
        "batch_size": [16, 32, 64, 128],
        "learning_rate": Range(low=0.001, high=1.0, log=True),
        "weight_decay": [0.0, 0.00001, 0.0001, 0.001],
        "activation": ["relu", "elu", "tanh"],
    },
)


def examples(rows: int) -> tuple[Examples, Examples]:
    data = load("fashion-mnist")
    training, validation = split(data.training, 12_000, 541)
    scaling = Scaling.fit(data.training, data.max_pixel, 0.5)
    scaled = scaling.apply(data.training)
    return scaled.take(np.sort(training[:rows])), scaled.take(validation)


def timed(
    recipe: SearchRecipe, trials: int, halving: Halving, parts: tuple[Examples, Examples]
) -> tuple[SearchResult, float]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = drain(
            search(
                recipe.make_sampler(541),
                *parts,
                trials=trials,
                halving=halving,
                classes=10,
                seed=541,
                store=Path(folder) / "trials.sqlite",
            )
        )
        return found, time.perf_counter() - start


def compare(name: str, recipe: SearchRecipe, trials: int, parts: tuple[Examples, Examples]) -> None:
    print(f"{name}: {trials} trials on {len(parts[0]):,} examples")
    full: SearchResult | None = None
    full_time = 1.0
    for method, halving in METHODS.items():
        found, seconds = timed(recipe, trials, halving, parts)
        if full is None:
            full, full_time = found, seconds
        assert found.best is not None
        assert full.best is not None
        own = full.trials[found.best.id]
        better = sum(
            (t.validation_accuracy or 0.0) > (own.validation_accuracy or 0.0) for t in full.trials
        )
        epochs = sum(len(t.curve) for t in found.trials)
        whole = sum(len(t.curve) for t in full.trials)
        trained = sum(t.seconds for t in found.trials)
        outcomes = [t.outcome for t in found.trials]
        print(
            f"  {method:9s} {seconds:6.1f} s, {seconds / full_time:5.1%} of in full; "
            f"{epochs / whole:5.1%} of its epochs; busy {trained / seconds / cores():.1%}; "
            f"{outcomes.count('completed')} completed; best {found.best.validation_accuracy:.4f}, "
            f"rank {better + 1} of the full search; its winner "
            f"{'kept' if found.trials[full.best.id].outcome == 'completed' else 'pruned'}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=["published", "wide"])
    parser.add_argument("--trials", type=int, default=500, help="of the wide space")
    parser.add_argument("--rows", type=int, default=4000, help="of the wide space")
    options = parser.parse_args()
    print(hardware(), versions())
    if "published" in options.spaces:
        recipe = load_recipe("hw3").search
        compare("published", recipe, recipe.trials, examples(48_000))
    if "wide" in options.spaces:
        compare("wide", WIDE, options.trials, examples(options.rows))


if __name__ == "__main__":
    main()
