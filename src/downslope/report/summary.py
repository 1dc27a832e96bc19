"""The closing table: what a run found, in one line per stage, the answer first."""

from __future__ import annotations

from downslope.report.statements import chosen, led, network
from downslope.report.wording import (
    certainty,
    describe,
    figure,
    final_training,
    kinds,
    loss,
    outcomes,
    percent,
    plural,
    times,
    verdict,
)
from downslope.results import Results
from downslope.stages import STAGES

Row = tuple[str, str]


def summary(results: Results) -> list[Row]:
    """Sum a run up in rows of label and text; stages that did not run are named in the last row."""
    found = [
        _answer(results),
        _data(results),
        _search(results),
        _refit(results),
        _variants(results),
        _landscape(results),
        _autoencoder(results),
        _theory(results),
        _test_set(results),
        _missing(results),
    ]
    return [row for row in found if row is not None]


def answer(results: Results) -> str:
    """Say the test accuracy in a few words, or why there is none."""
    refit = results.refit
    if refit is None:
        return "no test accuracy: nothing was trained for it"
    if refit.test_accuracy is None:
        return f"no test accuracy: {'; '.join(refit.stopped) or 'no seed completed'}"
    accuracy = refit.test_accuracy
    return f"{percent(accuracy.mean)} ({certainty(accuracy)}), of {describe(refit)}"


def theory_verdict(results: Results) -> str:
    """Count the checks that pass and name those that do not."""
    theory = results.theory
    assert theory is not None
    passed = sum(check.verdict == "PASS" for check in theory.checks)
    proven = sum(step.verified for step in theory.steps)
    text = (
        f"{passed} of {plural(len(theory.checks), 'check')} pass, "
        f"{proven} of {plural(len(theory.steps), 'step')} verified, "
        f"{sum(one.breaks for one in theory.counterexamples)} of "
        f"{plural(len(theory.counterexamples), 'counter-example')} break what they should, "
        f"{sum(one.refuted for one in theory.mutations)} of "
        f"{plural(len(theory.mutations), 'wrong formula')} refuted"
    )
    wrong = [f"{c.name}: {c.verdict}" for c in theory.checks if c.verdict != "PASS"]
    wrong += [f"step {step.name}: not verified" for step in theory.steps if not step.verified]
    return f"{text}; {'; '.join(wrong)}" if wrong else text


def _answer(results: Results) -> Row:
    return "test accuracy", answer(results)


def _data(results: Results) -> Row:
    data = results.data
    return "data", (
        f"{data.name}: {data.training:,} training, {data.validation:,} validation and "
        f"{data.test:,} test examples, {kinds(data)}"
    )


def _search(results: Results) -> Row | None:
    search = results.search
    if search is None:
        return None
    text = f"{plural(len(search.trials), 'trial')}: {outcomes(search.trials)}"
    if "search" not in results.seconds:
        text += f"; interrupted, {results.recipe.search.trials:,} were planned"
    return "search", "; ".join(filter(None, [text, led(search), chosen(search)]))


def _refit(results: Results) -> Row | None:
    refit = results.refit
    if refit is None:
        return None
    text = (
        f"{refit.member.network.label} ({network(results, 'search')}) on {refit.examples:,} "
        f"examples, {plural(len(refit.seeds), 'seed')}, final training loss "
        f"{loss(refit.epochs[-1].train_loss)}"
    )
    training = refit.member.training
    if refit.member.steps_per_epoch(refit.examples) * training.batch_size < refit.examples:
        text += ", one row of each epoch left out, since batch norm needs two"
    return "refit", "; ".join([text, *refit.stopped])


def _variants(results: Results) -> Row | None:
    variants = results.variants
    if variants is None:
        return None
    search, refit = variants.search, variants.refit
    text = f"{plural(len(search.trials), 'trial')}: {outcomes(search.trials)}"
    text = "; ".join(filter(None, [text, led(search), chosen(search)]))
    if refit is None:
        return "variants", text
    text += f"; final training of {network(results, 'variants')}"
    if refit.test_accuracy is None:
        return "variants", f"{text}: no test accuracy"
    text += f": test accuracy {percent(refit.test_accuracy.mean)}"
    if variants.comparison is None:
        return "variants", f"{text}; no plain winner to compare with"
    return "variants", f"{text}; {verdict(variants.comparison)}"


def _landscape(results: Results) -> Row | None:
    landscape = results.landscape
    if landscape is None:
        return None
    first, second = landscape.explained_variance
    last = landscape.path[-1]
    return "landscape", (
        f"plane explains {percent(first, 1)} + {percent(second, 1)} of the path's variance; "
        f"at its end the loss on {landscape.examples:,} training examples is "
        f"{loss(last.true_loss)}, that of its projection {loss(last.projected_loss)}"
    )


def _autoencoder(results: Results) -> Row | None:
    coder = results.autoencoder
    if coder is None:
        return None
    if coder.test_mse is None:
        return "autoencoder", f"{coder.outcome}; no test error"
    return "autoencoder", (
        f"final training loss {final_training(coder)}, test error "
        f"{figure(coder.test_mse)} beside {figure(coder.pca_test_mse)} of PCA with "
        f"{plural(min(coder.code_size, coder.member.network.widths[0]), 'component')}"
    )


def _theory(results: Results) -> Row | None:
    return None if results.theory is None else ("theory", theory_verdict(results))


def _test_set(results: Results) -> Row:
    seal = results.test_set
    return "test set", f"{seal.examples:,} examples, opened {times(len(seal.openings))}"


def _missing(results: Results) -> Row | None:
    absent = [stage for stage in STAGES if getattr(results, stage) is None]
    return ("not run", ", ".join(absent)) if absent else None
