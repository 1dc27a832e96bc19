"""The stages of a run: each takes what earlier ones left in the run and adds its own results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.autoencoders import autoencode
from downslope.data import Dataset, Encoding, Examples, Scaling
from downslope.engines import MakeRunner, Snapshot, local_runner
from downslope.errors import InputError, one_line
from downslope.files import inside
from downslope.landscape import Trajectory
from downslope.networks import flatten
from downslope.progress import Steps
from downslope.recipe import Recipe, RefitRecipe, seeds_from
from downslope.recipes.context import Context, built_on, open_run, prepare
from downslope.recipes.landscapes import draw_landscapes, untrained_module, write_seeds
from downslope.recipes.models import write_model
from downslope.results import Results, SealResult, VariantsResult
from downslope.runs import Run
from downslope.search import (
    Refit,
    RefitResult,
    Round,
    SearchResult,
    Settings,
    TrialStore,
    best_of,
    choose,
    folds,
    importances,
    refit,
    round_store,
    search,
)
from downslope.stages import STAGES
from downslope.statistics import compare
from downslope.theory import run_theory, train_deep_networks


def needed(stages: Sequence[str], recipe: Recipe) -> list[str]:
    """Complete a choice of stages with those that they build on, in order.

    Raises:
        InputError: no stage, or one that does not exist.

    >>> needed(["landscape"], Recipe())
    ['search', 'refit', 'landscape']
    """
    if not stages:
        raise InputError(f"stages: no stage is named; stages: {', '.join(STAGES)}")
    for stage in stages:
        if stage not in STAGES:
            raise InputError(f"stages: {stage!r} is no stage; stages: {', '.join(STAGES)}")
    wanted = {stage for asked in stages for stage in built_on(asked, recipe)}
    return [stage for stage in STAGES if stage in wanted]


def run_recipe(
    recipe: Recipe,
    dataset: Dataset,
    run: Run,
    *,
    stages: Sequence[str] = tuple(STAGES),
    threads: int | None = None,
    make_runner: MakeRunner = local_runner,
) -> Steps[Results]:
    """Run the stages of a recipe that the run does not hold yet.

    After each stage, results.json holds all finished ones. An interrupt in between loses at most
    the members in training: finished trials are kept, and the same call goes on from there.

    Args:
        recipe: what to do.
        dataset: loaded beforehand, so that a mistake in it costs nothing.
        run: the directory; made here.
        stages: which stages; those they build on are added.
        threads: members trained at the same time, by default one per core.
        make_runner: makes what trains the members, here or on a cluster.

    Raises:
        InputError: the directory cannot be written, holds a run of another recipe, data or
            versions or a damaged file, or is in use by another process; a stage ran out of memory
            or disk.
    """
    order = needed(stages, recipe)
    unlabelled = dataset.task == "classification" and len(dataset.class_names) < 2
    if unlabelled and order != ["autoencoder"]:
        raise InputError(
            f"{dataset.name}: holds no labels, so nothing but an autoencoder can learn from it; "
            "'downslope autoencode' does"
        )
    context = prepare(recipe, dataset, run, threads, make_runner)
    run.prepare()
    with run.locked():
        left = open_run(context, order)
        order = [stage for stage in STAGES if stage in {*order, *left}]
        return (yield from _run_stages(context, left, order))


def _run_stages(context: Context, left: Sequence[str], order: Sequence[str]) -> Steps[Results]:
    run, dataset, results = context.run, context.dataset, context.results
    for number, stage in enumerate(left, 1):
        if _blocked(context, stage):
            continue
        start = time.perf_counter()
        before = list(results.test_set.openings)
        elsewhere = len(dataset.test.openings)  # already counted, or of another run
        try:
            yield from _numbered(FUNCTIONS[stage](context), f"[{number}/{len(left)}]", stage)
            results.seconds[stage] = time.perf_counter() - start
        except BaseException as error:
            _keep_finished_trials(context)
            if reason := _out_of_room(error):
                raise InputError(
                    f"{stage}: {reason}; make room or ask for less, then repeat the command"
                ) from error
            raise
        finally:
            opened = dataset.test.openings[elsewhere:]
            # A stage that is repeated after an interrupt has the same look at the same members.
            kept = [opening for opening in before if opening not in opened]
            results.test_set = SealResult(examples=len(dataset.test), openings=[*kept, *opened])
            run.commit(results, order)
    return results


def _numbered(steps: Steps[None], number: str, stage: str) -> Steps[None]:
    """Say of each step of which stage it is."""
    title = STAGES[stage].title
    try:
        for step in steps:
            task = step.task.replace("refit", STAGES["refit"].title)
            task = task if task.startswith(title) else f"{title}: {task}"
            yield replace(step, task=f"{number} {task}", stage=f"{number} {title}")
    finally:
        steps.close()


def _blocked(context: Context, stage: str) -> bool:
    """Tell whether a stage has nothing to work on, because nothing before it completed."""
    found = context.results.search
    if stage == "refit" and context.recipe.refit.choice is None:
        return found is None or found.chosen is None
    trained = context.results.refit
    return stage == "landscape" and (trained is None or not trained.completed)


def _out_of_room(error: BaseException) -> str:
    """Say what there was not enough of, if that is what an error means; torch has its own way."""
    text = one_line(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return f"not enough memory ({text})"
    if isinstance(error, OSError):
        return f"the disk or the system refused ({text})"
    return ""


def _theory(context: Context) -> Steps[None]:
    recipe = context.recipe.theory
    seed = context.recipe.seed
    found = yield from run_theory(
        np.asarray(context.training.inputs, np.float32),
        depth=recipe.depth,
        width=recipe.width,
        repetitions=recipe.repetitions,
        examples=min(recipe.examples, len(context.training)),
        seed=seed,
    )
    trained = None
    if recipe.trainability.depths and context.dataset.task == "classification":
        trained = yield from train_deep_networks(
            recipe.trainability,
            context.training,
            context.validation,
            classes=context.outputs,
            seed=seed,
            threads=context.threads,
            make_runner=context.make_runner,
        )
    context.results.theory = msgspec.structs.replace(found, trainability=trained)


def _search(context: Context) -> Steps[None]:
    context.results.search = yield from _search_part(context, "search")


def _search_part(context: Context, part: str) -> Steps[SearchResult]:
    recipe = context.recipe.search if part == "search" else context.recipe.variants
    seed = context.recipe.seed
    methods = recipe.whole_space(context.dataset.task).possible("encoding")
    training, validation, columns = context.side_by_side(methods)
    ranking, second = _halves(validation, recipe.choice.second, seed)
    found = yield from search(
        recipe.make_sampler(seed, context.dataset.task),
        training,
        ranking,
        trials=recipe.trials,
        halving=recipe.halving,
        classes=context.outputs,
        seed=seed,
        store=context.run.file(f"{part}/trials.sqlite"),
        threads=context.threads,
        task=part,
        make_runner=context.make_runner,
        snapshots_per_epoch=recipe.snapshots_per_epoch,
        columns=columns,
    )
    context.run.record(f"{part}/trials.sqlite")
    found = msgspec.structs.replace(
        found, importances=importances(found.trials, recipe.whole_space(context.dataset.task))
    )
    choice = recipe.choice
    if choice.top == 1 or found.best is None:
        return found
    if choice.folds:
        evidence = "folds"
        rounds = folds(
            context.dataset.training,
            choice.folds,
            seed,
            lambda rows: context.fit_encodings(methods, rows),
        )
    else:
        evidence = "second" if choice.second else "validation"
        held_out = second if choice.second else ranking
        rounds = [Round(training, held_out, choice.seeds, columns)]
    first = seed + recipe.trials  # seeds that no trial had
    again = context.run.file(f"{part}/choice.sqlite")
    for number in range(len(rounds)):
        _drop_other_seeds(round_store(again, number), first)
    chosen = yield from choose(
        found,
        rounds,
        evidence=evidence,
        top=choice.top,
        classes=context.outputs,
        seed=first,
        store=again,
        threads=context.threads,
        task=f"{part}: retraining the top {choice.top}",
        make_runner=context.make_runner,
    )
    for number in range(len(rounds)):
        context.run.record(f"{part}/{round_store(Path('choice.sqlite'), number)}")
    return msgspec.structs.replace(found, choice=chosen)


def _drop_other_seeds(store: Path, first: int) -> None:
    """Remove trainings of the best of a search that had fewer trials."""
    if not store.exists():
        return
    with TrialStore(store) as trials:
        known = [*trials.trials(), *trials.paused()]
    if any(trial.member.seed < first for trial in known):
        store.unlink()


def _halves(validation: Examples, second: float, seed: int) -> tuple[Examples, Examples]:
    """Split the validation examples into those that rank trials and a second part."""
    if not second:
        return validation, validation
    order = np.random.default_rng(seed).permutation(len(validation))
    count = min(max(1, round(second * len(validation))), len(validation) - 1)
    if count < 1:
        raise InputError("search.choice: second leaves no validation examples; add some or set 0")
    return validation.take(np.sort(order[count:])), validation.take(np.sort(order[:count]))


def _refit(context: Context) -> Steps[None]:
    winner = Settings()
    if context.recipe.refit.choice is None:
        found = context.results.search
        assert found is not None and found.chosen is not None  # else `_blocked`
        winner = found.chosen.settings
    context, done = yield from _refit_part(context, context.recipe.refit, winner, "refit")
    context.results.refit = done.result
    if done.states:
        yield from write_model(context, done)
    snapshots = list(done.snapshots)
    if context.recipe.landscape.start:
        start = flatten(untrained_module(done.result.member))
        # Nothing was seen yet, so there is no training loss.
        snapshots.insert(0, Snapshot(step=0, loss=np.nan, parameters=start))
    trajectory = Trajectory.of(snapshots)
    context.run.write_arrays(
        "refit/trajectory.npz",
        {
            "steps": np.array(trajectory.steps, np.int64),
            "losses": np.array(trajectory.losses, np.float64),
            "vectors": trajectory.vectors,
        },
    )
    if context.recipe.landscape.seeds and done.others:
        write_seeds(context, done, trajectory)


def _refit_part(
    context: Context, recipe: RefitRecipe, winner: Settings, part: str
) -> Steps[tuple[Context, Refit]]:
    """Train finally; return the data as those networks see them, too."""
    task = context.dataset.task
    settings = recipe.resolved(winner, task)
    context = context.seeing(settings.encoding)
    features = context.everything.inputs.shape[1]
    member = settings.member(features, context.outputs, context.recipe.seed)
    done = yield from refit(
        member,
        seeds_from(recipe.seeds, context.recipe.seed),
        context.everything,
        context.dataset.test,
        context.encoding,
        numbers_of=context.encoding.numbers_of if task == "regression" else None,
        monitor_test=recipe.monitor_test,
        snapshots_per_epoch=context.recipe.landscape.snapshots_per_epoch if part == "refit" else 0,
        threads=context.threads,
        task=part,
        make_runner=context.make_runner,
    )
    done = replace(done, result=msgspec.structs.replace(done.result, encoding=settings.encoding))
    folder = part.partition(" ")[0]
    context.run.write_arrays(
        f"{folder}/predictions.npz",
        {
            "seeds": np.array(list(done.states), np.int64),
            "predictions": _narrow(done.predictions),
            "confidences": done.confidences,
            "truth": _narrow(done.truth),
            "mistakes": done.mistakes,
            "mistake_inputs": done.mistake_inputs,
        },
    )
    return context, done


def _variants(context: Context) -> Steps[None]:
    found = yield from _search_part(context, "variants")
    refitted: RefitResult | None = None
    comparison = None
    if found.chosen is not None:
        _, done = yield from _refit_part(
            context, context.recipe.variants.refit, found.chosen.settings, "variants refit"
        )
        refitted = done.result
        for seed, state in done.states.items():
            context.run.write_weights(f"variants/seed-{seed}.safetensors", state)
        plain = context.results.refit
        if plain and plain.test_accuracy and refitted.test_accuracy:
            kept = context.run.read_arrays("refit/predictions.npz", ("predictions", "truth"))
            comparison = compare(
                kept["predictions"] == kept["truth"], done.predictions == done.truth
            )
    context.results.variants = VariantsResult(search=found, refit=refitted, comparison=comparison)


def _autoencoder(context: Context) -> Steps[None]:
    training, test = context.dataset.training, context.dataset.test
    shape = context.dataset.shape
    if training.frame is not None:
        encoding = Encoding.fit(context.dataset, numbers="unit")
        training, test = encoding.apply(training), test.encoded(encoding.apply)
        shape = (len(encoding.features),)
    if context.dataset.task == "regression":  # no classes for a probe
        training, test = _without_targets(training), test.encoded(_without_targets)
    scaling = Scaling.unit(training, context.dataset.max_pixel)
    inputs = scaling.apply(training)
    recipe, seed = context.recipe.autoencoder, context.recipe.seed
    made = yield from autoencode(
        recipe.member(inputs.inputs.shape[1], seed),
        inputs,
        test,
        scaling,
        shape=shape,
        seeds=seeds_from(recipe.seeds, seed),
        code_sizes=recipe.code_sizes,
        shapes=recipe.shapes,
        noise=recipe.noise,
        sparsity=recipe.sparsity,
        threads=context.threads,
        make_runner=context.make_runner,
    )
    if made.autoencoder is not None:
        context.run.write("autoencoder/weights.safetensors", made.autoencoder.to_bytes())
    context.run.write_arrays("autoencoder/images.npz", made.arrays)
    context.results.autoencoder = made.result


def _narrow(predicted: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.generic]:
    """Return classes in fewer bytes, and numbers as they are."""
    return predicted.astype(np.uint16) if predicted.dtype == np.int64 else predicted


def _without_targets(examples: Examples) -> Examples:
    """Return examples as data without labels are given: all of class 0."""
    return Examples(examples.inputs, np.zeros(len(examples), np.int64))


def _keep_finished_trials(context: Context) -> None:
    """Put the trials of an interrupted search into the results, but none of another search."""
    store = inside(context.run.path, "search/trials.sqlite")
    if "search" in context.results.seconds or not store.exists():
        return
    recipe = context.recipe.search
    with TrialStore(store) as trials:
        done = trials.trials()
    if recipe.sampler != "tpe" and done:  # what that one proposes depends on outcomes
        most = done[-1].id + 1
        proposals = dict(
            enumerate(recipe.proposals(context.recipe.seed, most, context.dataset.task))
        )
        done = [trial for trial in done if trial.settings == proposals.get(trial.id)]
    if done:
        ranking = len(_halves(context.validation, recipe.choice.second, context.recipe.seed)[0])
        context.results.search = SearchResult(
            trials=done, best=best_of(done), validation_examples=ranking
        )


FUNCTIONS: dict[str, Callable[[Context], Steps[None]]] = {
    "search": _search,
    "refit": _refit,
    "variants": _variants,
    "landscape": draw_landscapes,
    "autoencoder": _autoencoder,
    "theory": _theory,
}
