"""What the stages of a run share, and how a run is begun or gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.data import Dataset, Encoding, Encodings, Examples, NumberMethod, split
from downslope.engines import MakeRunner, local_runner
from downslope.errors import InputError
from downslope.recipe import DataRecipe, Recipe
from downslope.results import DataResult, Results, SealResult
from downslope.runs import Run
from downslope.stages import STAGES


@dataclass(slots=True)
class Context:
    """What the stages share: the recipe, the data as networks see them, the run."""

    recipe: Recipe
    dataset: Dataset
    run: Run
    results: Results
    threads: int | None
    make_runner: MakeRunner
    encoding: Encoding
    rows: NDArray[np.int64] = field(repr=False)
    held_out: NDArray[np.int64] = field(repr=False)
    everything: Examples = field(repr=False)
    training: Examples = field(init=False, repr=False)
    validation: Examples = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.training = self.everything.take(self.rows)
        self.validation = self.everything.take(self.held_out)

    @property
    def outputs(self) -> int:
        """Count the outputs of a network: one a class, or the number that is predicted."""
        return 1 if self.dataset.task == "regression" else len(self.dataset.class_names)

    def seeing(self, method: NumberMethod | None) -> Context:
        """Return the same with another encoding of numbers; None for the recipe's."""
        if method in (None, self.recipe.data.encoding):
            return self
        raw = self.dataset.training
        encoding = fit_encoding(self.recipe, self.dataset, raw.take(self.rows), method)
        return replace(self, encoding=encoding, everything=encoding.apply(raw))

    def side_by_side(
        self, methods: Sequence[NumberMethod | None]
    ) -> tuple[Examples, Examples, Mapping[str | None, tuple[int, int]] | None]:
        """Return training and validation examples in several encodings, and where each lies."""
        if list(methods) == [None]:
            return self.training, self.validation, None
        raw = self.dataset.training
        encodings = self.fit_encodings(methods, raw.take(self.rows))
        everything = encodings.apply(raw)
        return everything.take(self.rows), everything.take(self.held_out), encodings.columns

    def fit_encodings(
        self, methods: Sequence[NumberMethod | None], examples: Examples
    ) -> Encodings:
        """Fit several encodings of numbers to the same raw examples; None is the recipe's."""
        recipe, dataset = self.recipe, self.dataset
        return Encodings({m: fit_encoding(recipe, dataset, examples, m) for m in methods})


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    run: Run,
    threads: int | None,
    make_runner: MakeRunner = local_runner,
) -> Context:
    """Split and scale the data; the run is not touched yet.

    Raises:
        InputError: the data cannot be split or scaled so.
    """
    seed = recipe.seed if recipe.data.split_seed is None else recipe.data.split_seed
    rows, held_out = split(dataset.training, recipe.data.validation, seed)
    raw = dataset.training.take(rows)
    encoding = fit_encoding(recipe, dataset, raw)
    everything = encoding.apply(dataset.training)
    data = DataResult(
        name=dataset.name,
        source=dataset.source,
        sha256=dataset.sha256,
        # Of a table what networks see of it: several features of a category, none of a constant.
        shape=list(dataset.shape) if not dataset.columns else [everything.inputs.shape[1]],
        class_names=list(dataset.class_names),
        training=len(rows),
        validation=len(held_out),
        test=len(dataset.test),
        class_counts=[
            int(np.count_nonzero(dataset.training.targets == c))
            for c in range(len(dataset.class_names))
        ],
        scaling=_in_words(encoding, recipe.data.center),
        notes=[*dataset.notes, *encoding.notes],
        task=dataset.task,
        target=dataset.target,
        target_spread=encoding.target_spread,
    )
    fresh = Results(
        recipe=recipe, data=data, test_set=SealResult(examples=len(dataset.test), openings=[])
    )
    return Context(
        recipe=recipe,
        dataset=dataset,
        run=run,
        results=fresh,
        threads=threads,
        make_runner=make_runner,
        encoding=encoding,
        rows=rows,
        held_out=held_out,
        everything=everything,
    )


def _in_words(encoding: Encoding, center: float) -> str:
    if encoding.max_pixel is not None:
        return f"pixels divided by {encoding.max_pixel:g}, minus {center:g}"
    method = None if encoding.numbers is None else encoding.numbers.method
    if method in (None, "standard"):
        how = "standardized with the mean and deviation of the training rows"
    elif method == "none":
        how = "taken as it is"
    elif method == "quantile":
        how = "mapped by quantiles of the training rows to a normal distribution"
    else:
        how = "encoded piecewise linearly between quantiles of the training rows"
    return f"each column{' of numbers' * bool(encoding.categories)} {how}"


def fit_encoding(
    recipe: Recipe, dataset: Dataset, examples: Examples, method: NumberMethod | None = None
) -> Encoding:
    """Fit the encoding that a recipe asks for to some training examples.

    Args:
        recipe: what to do.
        dataset: says how the data were read.
        examples: raw ones to fit on.
        method: in place of the recipe's.

    Raises:
        InputError: the recipe centers pixels, and the data are a table.
    """
    center = recipe.data.center
    if dataset.max_pixel is None and center != DataRecipe().center:
        raise InputError(
            f"data: center = {center:g} has no effect on a table, whose columns are standardized; "
            "leave it out"
        )
    method = method or recipe.data.encoding
    if not dataset.columns and method != "standard":
        raise InputError(f"encoding = {method!r} has no effect on pictures; leave it out")
    return Encoding.fit(dataset, examples, center=center, numbers=method)


def open_run(context: Context, stages: Sequence[str]) -> list[str]:
    """Begin the run or go on with it, and return the stages that are left; only with its lock.

    A recipe that differs in nothing but more trials goes on with the searches; what builds on them
    is done again.

    Raises:
        InputError: a file of it is damaged, or it is of another recipe, other data or other
            versions.
    """
    run, fresh = context.run, context.results
    run.sweep()
    if not run.exists:
        run.commit(fresh, stages)
        return list(stages)
    manifest = run.check()
    assert manifest is not None
    results = run.read_results()
    new_start = f"{run.path}: holds a run {{}}; begin in another directory"
    if results.data.sha256 != fresh.data.sha256:
        old, new = (msgspec.structs.replace(r.data, source="") for r in (results, fresh))
        raise InputError(new_start.format(f"on other data ({_differences(old, new, 'data')})"))
    longer = _longer(results.recipe, fresh.recipe)
    if different := _differences(_with_trials(results.recipe, fresh.recipe), fresh.recipe):
        raise InputError(new_start.format(f"of another recipe ({different})"))
    for part in longer:
        _check_longer(context, part, getattr(results.recipe, part).trials)
    again = stages_again(run, context.recipe)
    if longer:
        _forget(results, again)
        results.recipe = fresh.recipe
        stages = [stage for stage in STAGES if stage in {*stages, *again}]
    left = [stage for stage in stages if stage not in results.seconds]
    if (left or longer) and (different := manifest.made_elsewhere()):
        raise InputError(new_start.format(f"of other versions ({different})"))
    context.results = results
    if left:
        run.commit(results, stages)
    return left


def built_on(stage: str, recipe: Recipe) -> set[str]:
    """Name a stage and all those that it builds on."""
    needs = STAGES[stage].needs
    if stage == "refit" and recipe.refit.choice is not None:
        needs = ()
    return {stage}.union(*(built_on(other, recipe) for other in needs))


def stages_again(run: Run, recipe: Recipe) -> list[str]:
    """Name the finished stages of a run that a recipe with more trials does again.

    Empty where the run is not there, or the recipe has no more trials than it.

    Raises:
        InputError: the run's results cannot be read.
    """
    if not run.exists:
        return []
    results = run.read_results()
    if _with_trials(results.recipe, recipe) != recipe:
        return []
    longer = {*_longer(results.recipe, recipe)}
    return [stage for stage in results.seconds if built_on(stage, recipe) & longer]


def _longer(old: Recipe, new: Recipe) -> list[str]:
    """Name the searches of which a recipe has more trials than a run."""
    return [p for p in ("search", "variants") if getattr(new, p).trials > getattr(old, p).trials]


def _with_trials(old: Recipe, new: Recipe) -> Recipe:
    """Return a run's recipe with the numbers of trials of another one, where that has more."""
    return msgspec.structs.replace(
        old,
        **{
            part: msgspec.structs.replace(getattr(old, part), trials=getattr(new, part).trials)
            for part in _longer(old, new)
        },
    )


def _check_longer(context: Context, part: str, trials: int) -> None:
    """Refuse more trials where those that are done would have fared otherwise among them."""
    recipe = context.recipe.search if part == "search" else context.recipe.variants
    learns = recipe.sampler == "tpe"
    kept = recipe.halving.longest_kept(trials, recipe.trials, learns)
    if kept < trials:
        raise InputError(
            f"{context.run.path}: {part}.trials = {recipe.trials}: the {trials} trials that are "
            f"there were pruned in cohorts that more trials make larger ({kept} would fare the "
            "same); nothing was changed: begin in another directory, or set "
            f"{part}.halving.cohort before a search that is to be continued"
        )


def _forget(results: Results, stages: Sequence[str]) -> None:
    """Take out what is done again; that the test set was opened for it stays counted."""
    for stage in stages:
        setattr(results, stage, None)
        del results.seconds[stage]
    if "landscape" in stages:
        results.joint_landscape = results.trials_landscape = None
    openings = [
        replace(o, reason=f"{o.reason}, before trials were added")
        if o.reason.split()[0].rstrip(":") in stages
        else o
        for o in results.test_set.openings
    ]
    results.test_set = SealResult(examples=results.test_set.examples, openings=openings)


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


def _differences(old: msgspec.Struct, new: msgspec.Struct, key: str = "") -> str:
    return differences(msgspec.to_builtins(old), msgspec.to_builtins(new), key)


def free_directory(name: str, recipe: Recipe) -> tuple[Path, str]:
    """Choose runs/NAME, or the first runs/NAME-2, ... that is free or holds this very recipe.

    Returns:
        The directory, and why it is not the first one; empty where it is.
    """
    taken = ""
    for number in count(1):
        path = Path("runs") / (name if number == 1 else f"{name}-{number}")
        run = Run(path)
        if run.exists:
            why = "damaged or of another version"
            with suppress(InputError):
                why = _differences(run.read_results().recipe, recipe)
                if not why:
                    return path, taken
            taken = taken or f", as {path} holds a run of another recipe ({why})"
        elif not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return path, taken
        else:
            taken = taken or f", as {path} holds other files"
    raise AssertionError("count() has no end")
