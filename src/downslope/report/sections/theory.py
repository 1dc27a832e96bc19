"""The theory section: its figures with captions, and its tables."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.report.figures import theory
from downslope.report.picture import Picture, picture
from downslope.report.tables import Row, Table
from downslope.report.wording import figure as number
from downslope.report.wording import percent, prose
from downslope.results import Results
from downslope.theory import TheoryResult, TrainabilityResult


def pictures(results: Results) -> Iterator[Picture]:
    """Draw the measured moments, their spread, and which networks train."""
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
        yield picture(
            f"theory-{direction}",
            theory.draw_moments(found, symbol),
            f"Second moment by hidden layer, {direction}. In layer {found[0].layers[end]}: "
            f"{reached}.",
            f"{what}: second moment in each hidden layer, measured (points, mean over networks; "
            "band, its 95 % bootstrap interval over networks) and predicted (dashed).",
        )
    if results.theory.spreads:
        last = results.theory.spreads[-1]
        yield picture(
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
        yield picture(
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


def check_table(theory: TheoryResult) -> Table:
    """List the checks of the theory with interval and verdict."""
    return Table(
        caption=f"Predictions against {theory.repetitions} networks of {theory.depth} layers "
        f"of {theory.width} units per initialization, on {theory.examples:,} examples",
        columns=[
            ("prediction", False),
            ("expected", True),
            ("measured", True),
            ("interval", True),
            ("power", True),
            ("verdict", False),
        ],
        rows=[
            Row(
                [
                    prose(check.name),
                    number(check.expected),
                    number(check.measured),
                    f"{number(check.interval[0])} to {number(check.interval[1])}",
                    percent(check.power, 1),
                    check.verdict,
                ],
                mark=check.verdict.lower(),
            )
            for check in theory.checks
        ],
    )


def gain_table(theory: TheoryResult) -> Table:
    """List the gains of all activations beside PyTorch's."""
    return Table(
        caption="Gains of activations at z standard normal: 1 over the root of E[f(z)²], with a "
        "bound on the error; what torch.nn.init.calculate_gain says; χ, by which gradients grow "
        "per layer under the gain; and n Var[w] at the edge of chaos without biases",
        columns=[
            ("activation", False),
            ("gain", True),
            ("error below", True),
            ("PyTorch", True),
            ("backward gain", True),
            ("χ", True),
            ("edge", True),
        ],
        rows=[
            Row(
                [
                    one.activation,
                    f"{one.forward:.6f}",
                    f"{one.bound:.0e}",
                    "refuses" if one.torch_gain is None else f"{one.torch_gain:.6f}",
                    f"{one.backward:.6f}",
                    f"{one.chi:.4f}",
                    "none" if (edge := theory.edges[one.activation]) is None else f"{edge:.4f}",
                ],
                mark="stopped"
                if one.torch_gain is not None and abs(one.torch_gain - one.forward) > 1e-6
                else "",
            )
            for one in theory.gains
        ],
    )


def mutation_table(theory: TheoryResult) -> Table:
    """List the wrong formulas and what the steps' checks said of them."""
    order = {step.name: i + 1 for i, step in enumerate(theory.steps)}
    return Table(
        caption="Wrong formulas, given to the check of the step that they belong to",
        columns=[("step", True), ("what was changed", False), ("verdict", False)],
        rows=[
            Row(
                [
                    str(order.get(one.step, one.step)),
                    prose(one.title),
                    "refuted" if one.refuted else "NOT REFUTED",
                ],
                mark="pass" if one.refuted else "fail",
            )
            for one in theory.mutations
        ],
    )


def depth_table(found: TrainabilityResult, names: dict[str, str]) -> Table:
    """List the accuracy by initialization and depth, those that train marked."""
    depths = sorted({one.depth for one in found.comparison})
    rows: list[Row] = []
    for start in dict.fromkeys(one.initialization for one in found.comparison):
        cells = [names.get(str(start), str(start))]
        for depth in depths:
            (one,) = (c for c in found.comparison if c.initialization == start and c.depth == depth)
            shown = ", ".join(
                percent(a, 1) if a is not None else "diverged" for a in one.accuracies
            )
            cells.append(("trains: " if one.trains else "") + shown)
        rows.append(Row(cells))
    return Table(
        caption="Validation accuracy by seed after training, by initialization and hidden layers; "
        f"what reaches {percent(found.bar, 1)}, half of the way from a guess to the best, is said "
        "to train",
        columns=[("initialization", False), *[(f"{d} layers", True) for d in depths]],
        rows=rows,
    )
