"""All static figures of a run, drawn once: for the page, and for the run's figures folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.errors import InputError
from downslope.landscape import LandscapeResult
from downslope.report.figures import history, refit, search, space, theory, variants
from downslope.report.figures import landscape as land
from downslope.report.figures import landscape_doubts as doubts
from downslope.report.figures.style import inline, svg
from downslope.report.reconstruction import drawings
from downslope.report.wording import figure as number
from downslope.report.wording import percent
from downslope.results import Results
from downslope.runs import Run
from downslope.search import SearchResult


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold one static figure.

    Args:
        name: of its file, without ending.
        drawing: SVG.
        alternative: what it shows, for those who cannot see it.
        caption: what to see in it.
    """

    name: str
    drawing: str
    alternative: str
    caption: str

    @property
    def element(self) -> Markup:
        """Return the figure as an element of a page."""
        return inline(self.drawing, self.name, self.alternative)


@dataclass(frozen=True, slots=True)
class Arrays:
    """Hold what figures need beyond results.json; None where a file is missing or damaged."""

    surface: dict[str, NDArray[Any]] | None
    joint: dict[str, NDArray[Any]] | None
    images: dict[str, NDArray[Any]] | None


def arrays(run: Run, results: Results) -> Arrays:
    """Read the arrays of the stages that ran."""
    return Arrays(
        surface=None if results.landscape is None else _surface(run, "landscape/surface.npz"),
        joint=None if results.joint_landscape is None else _surface(run, "landscape/joint.npz"),
        images=None
        if results.autoencoder is None
        else _read(
            run,
            "autoencoder/images.npz",
            ("originals", "reconstructions", "pca_reconstructions", "labels"),
        ),
    )


def _surface(run: Run, name: str) -> dict[str, NDArray[Any]] | None:
    found = _read(run, name, ("x", "y", "loss"))
    if found is not None and found["loss"].shape != (len(found["y"]), len(found["x"])):
        return None
    return found


def _read(run: Run, name: str, keys: Sequence[str]) -> dict[str, NDArray[Any]] | None:
    try:
        return run.read_arrays(name, keys)
    except InputError:  # the page says so in place of the figure
        return None


def gallery(results: Results, arrays: Arrays) -> dict[str, Picture]:
    """Draw every figure that the results allow, by name."""
    made = [
        *_theory(results),
        *_search(results),
        *_refit(results),
        *_variants(results),
        *_landscape(results, arrays),
        *_autoencoder(results, arrays),
    ]
    return {picture.name: picture for picture in made}


def _picture(name: str, figure: Figure, alternative: str, caption: str) -> Picture:
    return Picture(name, svg(figure), alternative, caption)


def _theory(results: Results) -> Iterator[Picture]:
    if results.theory is None or not results.theory.layers:
        return
    sides: tuple[tuple[theory.Direction, str, str, int], ...] = (
        ("forward", "E[x²] of activations", "Signals on their way forward", -1),
        ("backward", "E[d²] of gradients", "Gradients on their way back", 0),
    )
    for direction, symbol, what, end in sides:
        found = theory.moments(results.theory, direction)
        reached = "; ".join(
            f"{m.name} {number(m.mean[end], 3)} measured, {number(m.predicted[end], 3)} predicted"
            for m in found
        )
        yield _picture(
            f"theory-{direction}",
            theory.draw_moments(found, symbol),
            f"Second moment by hidden layer, {direction}. In layer {found[0].layers[end]}: "
            f"{reached}.",
            f"{what}: second moment in each hidden layer, measured (points, mean over networks; "
            "band, its 95 % bootstrap interval over networks) and predicted (dashed).",
        )
    if results.theory.spreads:
        last = results.theory.spreads[-1]
        yield _picture(
            "theory-spread",
            theory.draw_spread(results.theory.spreads),
            f"Spread over He networks by layer. In layer {last.layer} the median is "
            f"{number(last.median, 2)} of the mean, {number(last.predicted_median, 2)} predicted.",
            "One input in He networks: a network of finite width is off from the mean of all, "
            "the more the deeper, and most lie below it. The relative variance over networks in "
            f"layer {last.layer} is {number(last.relative_variance, 2)}; "
            f"{number(last.predicted_relative_variance, 2)} is predicted, much of it by rare large "
            "networks that a few dozen seldom hold; the check of its growth per layer is below.",
        )
    trained = results.theory.trainability
    if trained is not None and trained.map:
        yield _picture(
            "theory-trainability",
            theory.draw_trainability(trained),
            f"Validation accuracy over n Var[w] and depth of {len(trained.map)} "
            f"{trained.spec.activation} networks.",
            f"Which networks train: validation accuracy in percent after {trained.spec.epochs} "
            f"epochs on {trained.examples:,} examples, {trained.spec.width} units a layer, one "
            "network a cell at its better learning rate; × diverged. Dashed: the predicted edge "
            "between vanishing and exploding signals. Lines: six depth scales, as far as networks "
            "train according to Schoenholz et al. (2017).",
        )


def _search(results: Results) -> Iterator[Picture]:
    found = results.search
    if found is None or not found.trials:
        return
    yield from _trials(found, "search")
    best = f"best {percent(found.best.validation_accuracy)}" if found.best else "none completed"
    points = search.scatter(found)
    yield _picture(
        "search-settings",
        search.draw_scatter(points),
        f"Validation accuracy of {len(points.points)} completed trials against "
        f"{search.WORDS[points.setting]}; {len(points.stopped)} diverged or failed; {best}.",
        f"Final validation accuracy against {search.WORDS[points.setting]}, coloured by "
        f"{search.WORDS[points.colour]}."
        + (" Crosses at the foot are trials that diverged or failed." if points.stopped else ""),
    )
    attempts = history.history(found)
    yield _picture(
        "search-history",
        history.draw_history(attempts),
        f"Validation accuracy of {len(attempts)} trials in the order of proposal; {best}.",
        "The trials in the order of proposal, and the best that had completed so far.",
    )
    yield from _space(found, "search")
    yield from _choice(found, "search")


def _trials(found: SearchResult, part: str) -> Iterator[Picture]:
    lines = search.curves(found)
    if not lines:
        return
    pruned = sum(line.outcome == "pruned" for line in lines)
    yield _picture(
        f"{part}-curves",
        search.draw_curves(lines),
        f"Validation accuracy by epoch of {len(lines)} trials, {pruned} of them pruned.",
        "Validation accuracy after each epoch, one line per trial."
        + (" Triangles are where trials were pruned." if pruned else ""),
    )


def _space(found: SearchResult, part: str) -> Iterator[Picture]:
    completed = [t for t in found.trials if t.validation_accuracy is not None]
    placed = space.coordinates(found)
    if placed is None or len(completed) < 2:
        return
    names = ", ".join(axis.name for axis in placed.axes)
    yield _picture(
        f"{part}-slices",
        space.draw_slices(placed),
        f"Validation accuracy of {len(completed)} completed trials against each of: {names}.",
        "Final validation accuracy against each setting, whatever the others are.",
    )
    if len(placed.axes) > 1:
        yield _picture(
            f"{part}-parallel",
            space.draw_parallel(placed),
            f"{len(placed.accuracy)} trials as lines through {names}, the best fifth in colour.",
            "Each trial as a line through its settings.",
        )
    if found.importances:
        first, share = next(iter(found.importances.items()))
        yield _picture(
            f"{part}-importances",
            space.draw_importances(found.importances),
            f"Share of each setting in the variance of the accuracy; the largest is {first} with "
            f"{percent(share, 0)}.",
            "How much each setting matters: its share of the variance of the validation accuracy "
            "over this space (fANOVA). It says which settings to search, not which values are "
            "good.",
        )
    charted = space.chart(found)
    if charted is not None:
        yield _picture(
            f"{part}-map",
            space.draw_chart(charted),
            "Best validation accuracy by learning rate and batch size.",
            "Best validation accuracy (%) by learning rate and batch size; empty cells were not "
            "tried, or no trial there completed.",
        )


def _choice(found: SearchResult, part: str) -> Iterator[Picture]:
    if found.choice is None:
        return
    reached = {t.id: t.validation_accuracy or 0.0 for t in found.trials}
    yield _picture(
        f"{part}-choice",
        history.draw_choice(found.choice, reached),
        f"The best {len(found.choice.candidates)} trials, in the search and trained again "
        f"{found.choice.seeds} times.",
        "What the best trials reached in the search, and when trained again with new seeds; the "
        "band is the 95 % bootstrap interval of the mean. The chosen one is bold.",
    )


def _refit(results: Results) -> Iterator[Picture]:
    found = results.refit
    if found is None:
        return
    training = refit.training(found)
    yield _picture(
        "refit-loss",
        refit.draw_training(training),
        f"Training loss by epoch of {len(found.seeds)} seeds, from {number(training.mean[0])} "
        f"to {number(training.mean[-1])} nats.",
        "Training loss of the final model after each epoch.",
    )
    if training.accuracy:
        yield _picture(
            "refit-accuracy",
            refit.draw_accuracy(training),
            f"Test accuracy by epoch, {percent(training.accuracy[-1][1])} at the end.",
            "Test accuracy after each epoch, as the recipe asks for. Nothing was chosen by it.",
        )
    if any(b.train_loss is not None for b in found.last_minibatches):
        yield _picture(
            "refit-minibatches",
            refit.draw_minibatches(found),
            f"Training loss of the last {len(found.last_minibatches)} minibatches.",
            f"Training loss of the last {len(found.last_minibatches)} minibatches, "
            f"seed {found.member.seed}.",
        )
    if found.confusion:
        hits = sum(found.confusion[i][i] for i in range(len(found.confusion)))
        total = sum(map(sum, found.confusion))
        yield _picture(
            "refit-confusion",
            refit.draw_confusion(found.confusion, results.data.class_names),
            f"Confusion matrix: {hits:,} of {total:,} test examples are on the diagonal.",
            "Confusion matrix of the first seed that completed, on the test set: counts, and their "
            "share of the true class. The "
            "colour follows the square root of the share, so that rare errors show.",
        )


def _variants(results: Results) -> Iterator[Picture]:
    found = results.variants
    if found is None or not found.search.trials:
        return
    best = found.search.best
    yield from _choice(found.search, "variants")
    yield _picture(
        "variants-validation",
        variants.draw_ranking(variants.ranking(found.search)),
        f"Validation accuracy of {len(found.search.trials)} variants"
        + (f"; best {percent(best.validation_accuracy)}." if best else "; none completed."),
        "Validation accuracy of the variants, best first.",
    )
    own = None if found.refit is None else found.refit.test_accuracy
    plain = None if results.refit is None else results.refit.test_accuracy
    if own is not None:
        means = f"best variant {percent(own.mean)}"
        if plain is not None:
            means = f"plain winner {percent(plain.mean)}, {means}"
        yield _picture(
            "variants-test",
            variants.draw_test(plain, own),
            f"Test accuracy by seed: {means}.",
            "Test accuracy of each seed (points), their mean (line) and its 95 % interval for "
            "the sampling of test examples (band).",
        )


def _landscape(results: Results, arrays: Arrays) -> Iterator[Picture]:
    if results.landscape is not None and arrays.surface is not None:
        yield from landscape_pictures(results.landscape, arrays.surface)
    joint = results.joint_landscape
    if joint is not None and arrays.joint is not None:
        yield _joint_picture(joint, arrays.joint)


def landscape_pictures(
    found: LandscapeResult, surface: dict[str, NDArray[Any]]
) -> Iterator[Picture]:
    """Draw all figures of one landscape."""
    terrain = land.terrain(found, surface)
    low, high = found.loss_range
    span = f"losses from {number(low, 3)} to {number(high, 3)} nats"
    holes = " Holes are points whose loss is not finite." if found.not_finite else ""
    yield _picture(
        "landscape-contour",
        land.draw_contour(terrain),
        f"Loss landscape from above with the path of the training; {span}.",
        f"The landscape from above, {span}, and the path projected onto it.{holes}",
    )
    yield _picture(
        "landscape-surface",
        land.draw_surface(terrain),
        f"Loss landscape in three dimensions with the path at its true loss; {span}.",
        "The landscape with the path at its true loss, the projected path, and stems between "
        f"them: what the plane does not show.{holes}",
    )
    yield _picture(
        "landscape-losses",
        land.draw_losses(terrain),
        f"Loss along the path, true from {number(terrain.true[0])} to {number(terrain.true[-1])}, "
        f"projected from {number(terrain.projected[0])} to {number(terrain.projected[-1])} nats.",
        "Loss along the path: of the snapshots themselves, and of their projections.",
    )
    if found.nulls:
        share = percent(sum(found.explained_variance), 1)
        walks = " and ".join(percent(null.mean, 1) for null in found.nulls)
        yield _picture(
            "landscape-nulls",
            doubts.draw_nulls(found),
            f"Share of variance in the plane: {share}; random walks {walks}.",
            f"The plane's share of the path's variance beside {found.nulls[0].walks} random walks "
            "with the same step lengths, and with the same step autocorrelation too (points, "
            "mean; bars, 95 % of walks).",
        )
    furthest = max(p.residual for p in found.path)
    yield _picture(
        "landscape-residuals",
        doubts.draw_residuals(found),
        f"Distance of each snapshot from the plane, at most {number(furthest, 3)}.",
        "How far each snapshot is from the plane it is drawn on, beside how far it has come "
        "within it.",
    )
    if "slice_loss" in surface:
        yield _picture(
            "landscape-slice",
            doubts.draw_slice(found, surface),
            "Loss along the straight line from the first snapshot to the last.",
            "The loss along the straight line from the first snapshot to the last.",
        )
    if any(p.eigenvalues for p in found.curvature):
        yield _picture(
            "landscape-curvature",
            doubts.draw_curvature(found),
            f"Curvature at {len(found.curvature)} snapshots.",
            "Curvature of the loss along the path: the Hessian's largest eigenvalues and trace, "
            "and the norm of the gradient."
            + (
                " Batch norm has its statistics of the end of training." if found.statistics else ""
            ),
        )
    if len(found.runs) > 1:
        yield _joint_picture(found, surface)


def _joint_picture(joint: LandscapeResult, surface: dict[str, NDArray[Any]]) -> Picture:
    return _picture(
        "landscape-joint",
        doubts.draw_joint(joint, surface),
        f"{len(joint.runs)} runs in their joint plane.",
        f"{len(joint.runs)} runs in one plane. Beside each: the share of its own variance "
        "that the plane holds and its largest distance from it. Paths that seem to cross need "
        "not meet.",
    )


def _autoencoder(results: Results, arrays: Arrays) -> Iterator[Picture]:
    found = results.autoencoder
    if found is None:
        return
    data = results.data
    for drawn in drawings(found, arrays.images, data.shape, data.class_names):
        yield _picture(*drawn)
