"""The facts of a run that its first screen, its closing table and comparisons all read."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from downslope.recipes import STAGES
from downslope.report import autoencoder, regression, theory
from downslope.report.blocks import Fact
from downslope.report.display import Source
from downslope.report.formats import (
    duration,
    loss,
    number,
    percent,
    percent_interval,
    plural,
    times,
)
from downslope.report.statements import certainty, chosen, describe, led, network, outcomes, verdict
from downslope.results import Results, VariantsResult
from downslope.search import RefitResult, SearchResult, Settings
from downslope.toml import write_toml

ACCURACY = Source(
    "results.json: refit.test_accuracy",
    "mean over seeds of the share of test examples classified correctly; its 95 % interval by "
    "interval_method: crossed, over seeds and examples; wilson, over examples alone",
)


def title(results: Results) -> str:
    """Return the title of a run."""
    return results.recipe.title


def lead(results: Results) -> str:
    """Say what data a run is of."""
    data = results.data
    kinds = f"{len(data.class_names)} classes" if data.class_names else "without labels"
    if data.task == "regression":
        kinds = f"numbers to predict ({data.target})" if data.target else "numbers to predict"
    return (
        f"{data.name}: {data.training:,} training, {data.validation:,} validation and "
        f"{data.test:,} held-out test examples, {kinds}."
    )


def missing(results: Results) -> list[str]:
    """Name the stages that did not run."""
    return [stage for stage in STAGES if getattr(results, stage) is None]


def headline(results: Results) -> list[Fact]:
    """List what a run reached, the test accuracy first; stages that did not run are left out."""
    return list(_facts(results))


def summary(results: Results) -> list[tuple[str, str]]:
    """Sum a run up in rows of label and text; stages that did not run are named in the last row."""
    facts = [
        (fact.label, "; ".join(filter(None, [f"{fact.value}, {fact.note}", fact.detail])))
        for fact in headline(results)
    ]
    facts.insert(1, ("data", lead(results).rstrip(".")))
    absent = missing(results)
    return [*facts, ("not run", ", ".join(absent))] if absent else facts


def answer(results: Results) -> str:
    """Say what was trained and how good it is, for those who read no further."""
    refit, data, coder = results.refit, results.data, results.autoencoder
    if data.task == "regression":
        return regression.answer(results)
    if refit is None or refit.test_accuracy is None:
        if coder is not None and coder.test_mse is not None:
            return (
                f"A {coder.member.network.label} autoencoder reconstructs the test examples of "
                f"{data.name} with a mean squared error of {number(coder.test_mse)}."
            )
        subject = "This run" if refit is None else f"The network trained on {data.name}"
        return f"{subject} has no test accuracy."
    accuracy = refit.test_accuracy
    several = len(accuracy.per_seed) > 1
    mean = f"mean of {plural(len(accuracy.per_seed), 'seed')}; " if several else ""
    return (
        f"A {refit.member.network.label} network ({describe(refit)}), trained on "
        f"{refit.examples:,} examples of {data.name}, classifies {percent(accuracy.mean)} of the "
        f"{accuracy.examples:,} test examples correctly ({mean}95 % interval "
        f"{percent_interval(accuracy.interval)}). The test set was opened "
        f"{times(len(results.test_set.openings))}, and never used to choose anything."
    )


def best(results: Results) -> tuple[str, RefitResult] | None:
    """Return what was best on validation data, and its final training."""
    variants = results.variants
    first = None if results.refit is None else ("the final model", results.refit)
    if variants is None or variants.refit is None:
        return first
    search = results.search
    higher = search is None or _validated(variants.search) > _validated(search)
    return ("the chosen variant", variants.refit) if higher else first


def _validated(search: SearchResult) -> float:
    """Return the validation accuracy of the chosen trial, of its new trainings if there are any."""
    trial, choice = search.chosen, search.choice
    candidates = [] if choice is None else choice.candidates
    means = [candidate.mean for candidate in candidates if trial and candidate.trial == trial.id]
    return next(iter(means), None) or (trial and trial.validation_accuracy) or 0.0


def configuration(refit: RefitResult) -> str:
    """Write the configuration of a final training as the part of a recipe that trains it again."""
    member = refit.member
    hidden = member.network.widths[1:-1]
    fields = msgspec.structs.asdict(member.network) | msgspec.structs.asdict(member.training)
    fields.pop("widths")
    defaults = msgspec.structs.asdict(Settings())
    always = ("activation", "optimizer", "learning_rate", "batch_size", "epochs")
    values = {"hidden_layers": len(hidden), "units": hidden[0] if hidden else defaults["units"]}
    values |= {k: v for k, v in fields.items() if k in always or v != defaults[k]}
    values |= {} if refit.encoding is None else {"encoding": refit.encoding}
    return f"[refit.choice]\n{write_toml(values)}".strip()


def _facts(results: Results) -> Iterator[Fact]:
    refit = results.refit
    if results.data.task == "regression":
        yield regression.fact(results)
    elif refit is None:
        yield Fact("test accuracy", "none", "nothing was trained for it", ACCURACY)
    elif refit.test_accuracy is None:
        reasons = "; ".join(refit.stopped) or "no seed completed"
        yield Fact("test accuracy", "none", reasons, ACCURACY)
    else:
        accuracy = refit.test_accuracy
        note, detail = certainty(accuracy), f"of {describe(refit)}"
        yield Fact("test accuracy", percent(accuracy.mean), note, ACCURACY, detail)
    if refit is not None:
        yield _final_model(results, refit)
    if results.search is not None:
        yield _search(results, results.search)
    if results.variants is not None:
        yield _variants(results, results.variants)
    yield from _studies(results)
    openings = results.test_set.openings
    stages = [opening.reason.partition(":")[0] for opening in openings]
    yield Fact(
        "test set",
        f"opened {times(len(openings))}",
        f"{results.test_set.examples:,} examples",
        Source("results.json: test_set", "one entry for each opening of the held-out test set"),
        ", ".join(f"{stage} {times(stages.count(stage))}" for stage in dict.fromkeys(stages)),
    )
    seconds = results.seconds
    note = ", ".join(f"{stage} {duration(spent)}" for stage, spent in seconds.items())
    source = Source("results.json: seconds", "wall time of each finished stage")
    yield Fact("time", duration(sum(seconds.values())), note or "no stage finished", source)


def _final_model(results: Results, refit: RefitResult) -> Fact:
    detail = f"{network(results, 'search')}; final training loss "
    detail += loss(refit.epochs[-1].train_loss)
    training = refit.member.training
    if refit.member.steps_per_epoch(refit.examples) * training.batch_size < refit.examples:
        detail += ", one row of each epoch left out, since batch norm needs two"
    return Fact(
        "final model",
        refit.member.network.label,
        f"{refit.examples:,} examples, {plural(len(refit.seeds), 'seed')}",
        Source("results.json: refit", "settings of the final training"),
        "; ".join([detail, *refit.stopped]),
    )


def _search(results: Results, search: SearchResult) -> Fact:
    note = outcomes(search.trials)
    if "search" not in results.seconds:
        note += f"; interrupted, {results.recipe.search.trials:,} were planned"
    source = Source("results.json: search.trials", "on the validation examples")
    detail = "; ".join(filter(None, [led(search), chosen(search)]))
    if results.data.task == "regression":
        detail = regression.validated(search, results.data)
    return Fact("search", plural(len(search.trials), "trial"), note, source, detail)


def _variants(results: Results, variants: VariantsResult) -> Fact:
    search, refit, comparison = variants.search, variants.refit, variants.comparison
    source = Source(
        "results.json: variants.comparison",
        "interval of the difference over seeds and test examples together, from both "
        "predictions.npz (docs/statistics.md); McNemar's test of the first seeds",
    )
    trials = f"{plural(len(search.trials), 'trial')}: {outcomes(search.trials)}"
    detail = "; ".join(filter(None, [led(search), chosen(search)]))
    if refit is not None and refit.test_error is not None:
        value, note = number(refit.test_error.mean), "RMSE on the test set"
        return Fact("variants", value, note, source, regression.validated(search, results.data))
    if refit is None or refit.test_accuracy is None:
        return Fact("variants", "no test accuracy", trials, source, detail)
    note = "no baseline to compare with"
    if comparison is not None:
        note = verdict(comparison)
        detail = f"{trials}; {detail}"
    value = percent(refit.test_accuracy.mean)
    return Fact("variants", value, note, source, f"of {network(results, 'variants')}; {detail}")


def _studies(results: Results) -> Iterator[Fact]:
    landscape, coder = results.landscape, results.autoencoder
    if landscape is not None:
        first, second = landscape.explained_variance
        last = landscape.path[-1]
        yield Fact(
            "landscape",
            f"{percent(first, 1)} + {percent(second, 1)}",
            "of the path's variance in the plane",
            Source("results.json: landscape", "at the snapshots of refit/trajectory.npz"),
            f"at the end of the path the loss on {landscape.examples:,} training examples is "
            f"{loss(last.true_loss)}, that of its projection {loss(last.projected_loss)}",
        )
    if coder is not None:
        source = Source("results.json: autoencoder", "mean squared error per value, test set")
        if coder.test_mse is None:
            yield Fact("autoencoder", "no test error", coder.outcome, source)
        else:
            components = plural(min(coder.code_size, coder.member.network.widths[0]), "component")
            note = f"test error; {number(coder.pca_test_mse)} for PCA with {components}"
            detail = f"final training error {autoencoder.final_training(coder)}"
            yield Fact("autoencoder", number(coder.test_mse), note, source, detail)
    if results.theory is not None:
        counts, _, rest = theory.verdict(results.theory).partition(", ")
        source = Source("results.json: theory", "symbolically, by quadrature, by enumeration")
        yield Fact("theory", counts, rest, source)
