"""What the stages of a run share, and how a run is begun or gone on with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from downslope.data import Dataset, Examples, Scaling, split
from downslope.errors import InputError
from downslope.recipes.schema import Recipe
from downslope.results import DataResult, Results, SealResult
from downslope.runs import Run


@dataclass(slots=True)
class Context:
    """Hold what the stages share: the recipe, the data as networks see them, the run."""

    recipe: Recipe
    dataset: Dataset
    run: Run
    results: Results
    threads: int | None
    scaling: Scaling
    training: Examples = field(repr=False)
    validation: Examples = field(repr=False)
    everything: Examples = field(repr=False)

    @property
    def classes(self) -> int:
        """Count the classes."""
        return len(self.dataset.class_names)


def prepare(recipe: Recipe, dataset: Dataset, run: Run, threads: int | None) -> Context:
    """Split and scale the data, and open or begin the run.

    Raises:
        InputError: see `run_recipe`.
    """
    seed = recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed
    rows, held_out = split(dataset.training, recipe.data.validation, seed)
    raw = dataset.training.take(rows)
    scaling = Scaling.fit(raw, dataset.white, recipe.data.center)
    everything = scaling.apply(dataset.training)
    if dataset.training.targets.ndim != 1 or len(dataset.class_names) < 2:
        raise InputError(f"{dataset.name}: a classifier needs labels of at least two classes")
    table: dict[str, Any] = msgspec.to_builtins(recipe)
    data = DataResult(
        name=dataset.name,
        source=dataset.source,
        sha256=dataset.sha256,
        shape=list(dataset.shape),
        class_names=list(dataset.class_names),
        training=len(rows),
        validation=len(held_out),
        test=len(dataset.test),
        class_counts=np.bincount(
            dataset.training.targets.astype(np.int64), minlength=len(dataset.class_names)
        ).tolist(),
        scaling=(
            f"pixels divided by {dataset.white:g}, minus {recipe.data.center:g}"
            if dataset.white is not None
            else "each column standardized with the mean and deviation of the training rows"
        ),
    )
    fresh = Results(
        recipe=table, data=data, test_set=SealResult(examples=len(dataset.test), openings=[])
    )
    results = _continue(run, fresh) if run.exists else fresh
    run.prepare()
    if not run.exists:
        # First, because it makes the directory a run: an interrupt between the two is no dead end.
        run.write_results(results)
    run.write_recipe(table)
    return Context(
        recipe=recipe,
        dataset=dataset,
        run=run,
        results=results,
        threads=threads,
        scaling=scaling,
        training=everything.take(rows),
        validation=everything.take(held_out),
        everything=everything,
    )


def _continue(run: Run, fresh: Results) -> Results:
    """Read the results of a run to go on with; it must be of the same recipe and data."""
    results = run.read_results()
    if results.data.sha256 != fresh.data.sha256:
        raise InputError(f"{run.path}: holds a run on other data; give another --out")
    # JSON has no tuples: compare what both look like once written.
    same = msgspec.json.decode(msgspec.json.encode(fresh.recipe))
    if different := differences(results.recipe, same):
        raise InputError(
            f"{run.path}: holds a run of another recipe ({different}); give another --out"
        )
    return results


def differences(old: Any, new: Any, key: str = "") -> str:
    """Name the first setting in which two resolved recipes differ; empty if they agree.

    >>> differences({"search": {"trials": 3}}, {"search": {"trials": 4}})
    'search.trials = 3 there, 4 here'
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            below = f"{key}.{name}" if key else str(name)
            if found := differences(old.get(name), new.get(name), below):
                return found
        # The order of a space decides what is drawn.
        return "" if list(old) == list(new) else f"the order of the keys of {key}"
    return "" if old == new and type(old) is type(new) else f"{key} = {old!r} there, {new!r} here"


def free_directory(name: str, recipe: Recipe) -> Path:
    """Choose runs/NAME, or the first runs/NAME-2, ... that is free or holds this very recipe."""
    table = msgspec.json.decode(msgspec.json.encode(recipe))
    for number in count(1):
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        run = Run(path)
        if run.exists:
            with suppress(InputError):  # damaged or of another version: not this one
                if not differences(run.read_results().recipe, table):
                    return path
        elif not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return path
    raise AssertionError("count() has no end")
