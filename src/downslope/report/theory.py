"""The theory section: the derivation, deep random networks, and which of them train."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from downslope.report.arrays import Arrays
from downslope.report.blocks import (
    Block,
    Column,
    Columns,
    Details,
    Equation,
    Figures,
    Heading,
    Item,
    Items,
    Paragraph,
    Row,
    Table,
    prose,
    strong,
)
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import capitalized, number, percent, plural
from downslope.report.style import (
    INK,
    MARKERS,
    MUTED,
    SERIES,
    TEAL,
    WIDTH,
    HouseFigure,
    count_along,
    heat,
    legend_above,
    panel,
    powers,
)
from downslope.results import Results
from downslope.theory import ASSUMPTIONS, TheoryResult, TrainabilityResult

NAMES = {"he": "He", "xavier": "Xavier", "lecun": "LeCun", "pytorch": "PyTorch default"}
SCALES = 6
"""Depth scales to which networks train, Schoenholz et al. (2017), figure 5."""


def _name(initialization: str | None) -> str:
    return NAMES.get(str(initialization), str(initialization))


@dataclass(frozen=True)
class Moments(Display):
    """Second moments of activations and gradients by layer, measured and predicted."""

    theory: TheoryResult
    name = "theory-moments"
    title = "Do signals and gradients keep their size with depth?"
    source = Source(
        "results.json: theory.layers", "mean over networks; 95 % bootstrap interval over them"
    )

    def frame(self) -> Frame:
        parts = ("mean", "low", "high", "predicted")
        columns = ("initialization", "direction", "layer", *parts)
        rows = [
            (_name(x.initialization), way, x.layer, *(getattr(x, f"{way}_{p}") for p in parts))
            for x in self.theory.layers
            for way in ("forward", "backward")
        ]
        return Frame(columns, rows)

    def draw(self, frame: Frame) -> Figure:
        figure = HouseFigure(figsize=(WIDTH, 5.0), layout="constrained")
        panels = figure.subplots(2, 1, sharex=True)
        labels = {"forward": "E[x²] of activations", "backward": "E[d²] of gradients"}
        for axes, (direction, label) in zip(panels, labels.items(), strict=True):
            groups = frame.where(direction=direction).groups("initialization")
            for i, (name, rows) in enumerate(groups.items()):
                colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
                layers, mean = rows["layer"], rows["mean"]
                axes.fill_between(
                    layers, rows["low"], rows["high"], color=colour, alpha=0.22, linewidth=0
                )
                axes.plot(layers, mean, marker, color=colour, markersize=4, label=name)
                axes.plot(layers, rows["predicted"], color=colour, linewidth=1.2, dashes=(4, 2))
            axes.set_ylabel(label)
            axes.set_yscale("log")
            powers(axes.yaxis)
            count_along(axes.xaxis)
        panels[0].plot([], [], color=MUTED, linewidth=1.2, dashes=(4, 2), label="predicted")
        panels[1].set_xlabel("hidden layer")
        legend_above(panels[0], 3)
        return figure

    def texts(self) -> Texts:
        texts: list[str] = []
        for direction, layers in self.frame().groups("direction").items():
            end = layers.where(layer=max(layers["layer"]) if direction == "forward" else 1)
            columns = (end["initialization"], end["mean"], end["predicted"])
            moments = "; ".join(
                f"{name} {number(mean, 3)} measured, {number(predicted, 3)} predicted"
                for name, mean, predicted in zip(*columns, strict=True)
            )
            texts.append(f"{capitalized(direction)}, in layer {end['layer'][0]}: {moments}.")
        return Texts(
            "Second moment in each hidden layer of activations (above) and of gradients (below): "
            "points, mean over networks; band, its 95 % bootstrap interval; dashed, the "
            "prediction.",
            f"Second moment by hidden layer. {' '.join(texts)}",
        )


@dataclass(frozen=True)
class Spread(Display):
    """How one input's second moment spreads over He networks, measured and predicted."""

    theory: TheoryResult
    name = "theory-spread"
    title = "How far is one network of finite width from the mean?"
    source = Source("results.json: theory.spreads", "quantiles over He networks, for one input")

    def frame(self) -> Frame:
        columns = ("layer", "low", "median", "high")
        predicted = ("predicted_low", "predicted_median", "predicted_high")
        names = (*columns, *predicted)
        return Frame(names, ([getattr(x, name) for name in names] for x in self.theory.spreads))

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("hidden layer", "z², relative to its mean")
        layers = frame["layer"]
        low, high = frame["predicted_low"], frame["predicted_high"]
        axes.fill_between(
            layers, low, high, color=TEAL, alpha=0.18, linewidth=0, label="80 %, predicted"
        )
        axes.plot(
            layers, frame["predicted_median"], color=TEAL, dashes=(4, 2), label="median, predicted"
        )
        axes.axhline(1, color=MUTED, linewidth=1.0, dashes=(1, 2), label="mean")
        median = frame.numbers("median")
        reach = np.array([median - frame.numbers("low"), frame.numbers("high") - median])
        axes.errorbar(
            layers, median, yerr=reach, color=INK, fmt="o", markersize=4, elinewidth=1.0,
            label="measured",
        )  # fmt: skip
        axes.set_ylim(bottom=0)
        count_along(axes.xaxis)
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        last = self.theory.spreads[-1]
        medians = f"{number(last.median, 2)}, {number(last.predicted_median, 2)} predicted"
        return Texts(
            "One input in He networks. Networks of finite width deviate from the ensemble mean, "
            "increasingly so with depth; most fall below it. The relative variance over networks "
            f"in layer {last.layer} is {number(last.relative_variance, 2)}; "
            f"{number(last.predicted_relative_variance, 2)} is predicted, much of it due to rare "
            "networks with large signals, which a few dozen networks seldom include.",
            f"Spread over He networks by layer; median in layer {last.layer}: {medians}.",
        )


@dataclass(frozen=True)
class Trainability(Display):
    """Validation accuracy over weight variance and depth, with the predicted edge and reach."""

    trainability: TrainabilityResult
    name = "theory-trainability"
    title = "Which deep networks train?"
    source = Source(
        "results.json: theory.trainability",
        "validation accuracy after training, the learning rate with the lower training loss",
    )

    def frame(self) -> Frame:
        result = self.trainability
        rows: list[tuple[str, float | None, float | None, float | None]] = [
            ("network", x.weight_variance, x.depth, x.accuracies[0]) for x in result.map
        ]
        if result.edge is not None:
            rows.append(("predicted edge", result.edge, None, None))
        rows += [
            (f"{SCALES} depth scales", x.weight_variance, SCALES * x.depth_scale, None)
            for x in result.depth_scales
            if x.depth_scale is not None
        ]
        return Frame(("what", "n Var[w]", "hidden layers", "validation accuracy"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("hidden layers", "n Var[w]", height=3.9)
        networks = frame.where(what="network")
        depths = sorted(set(networks["hidden layers"]))
        variances = sorted({v for v in networks["n Var[w]"] if v})
        accuracy = {(v, d): a for _, v, d, a in networks.rows}
        values = [[accuracy.get((v, d)) for d in depths] for v in variances]
        grid = np.array([[np.nan if x is None else x for x in row] for row in values])
        texts = [["×" if x is None else f"{100 * x:.0f}" for x in row] for row in values]
        best = np.nanmax(grid) if np.isfinite(grid).any() else 1.0
        heat(axes, grid / (best or 1.0), texts)
        axes.invert_yaxis()
        axes.set_xticks(range(len(depths)), [str(d) for d in depths])
        axes.set_yticks(range(len(variances)), [f"{v:g}" for v in variances])
        edge = next(iter(frame.where(what="predicted edge")["n Var[w]"]), None)
        if edge is not None and variances[0] <= edge <= variances[-1]:
            place = float(np.interp(edge, variances, range(len(variances))))
            ends = (-0.5, len(depths) - 0.5)
            axes.plot(
                ends, [place] * 2, "D", color=TEAL, clip_on=False, zorder=5, label="predicted edge"
            )
        label = f"{SCALES} depth scales, predicted"
        reach = [(v, d) for _, v, d, _ in frame.where(what=f"{SCALES} depth scales").rows]
        for ordered in (True, False):
            side = [
                (v, d)
                for v, d in reach
                if depths[0] <= d <= depths[-1] and (v <= (edge or 0)) == ordered
            ]
            if side:
                x = np.interp([d for _, d in side], depths, range(len(depths)))
                y = np.interp([v for v, _ in side], variances, range(len(variances)))
                axes.plot(x, y, color=TEAL, linewidth=1.4, label=label)
                label = "_"
        legend_above(axes, 2)
        return figure

    def texts(self) -> Texts:
        result = self.trainability
        count, activation = len(self.trainability.map), self.trainability.spec.activation
        return Texts(
            f"Validation accuracy in percent after {plural(result.spec.epochs, 'epoch')} on "
            f"{result.examples:,} examples, {result.spec.width} units a layer, one network a cell "
            "at its better learning rate; × diverged. Diamonds: the predicted edge between "
            "vanishing and exploding signals. Lines: six depth scales, as far as networks train "
            "according to Schoenholz et al. (2017).",
            f"Validation accuracy over n Var[w] and depth of {count} {activation} networks.",
        )


def verdict(theory: TheoryResult) -> str:
    """Count the checks that pass and name those that do not."""
    passed = sum(check.verdict == "PASS" for check in theory.checks)
    verified = sum(step.verified for step in theory.steps)
    work = sum(example.breaks for example in theory.counterexamples)
    refuted = sum(mutation.refuted for mutation in theory.mutations)
    text = (
        f"{passed} of {plural(len(theory.checks), 'check')} pass, "
        f"{verified} of {plural(len(theory.steps), 'step')} verified, "
        f"{work} of {plural(len(theory.counterexamples), 'counter-example')} work, "
        f"{refuted} of {plural(len(theory.mutations), 'wrong formula')} rejected"
    )
    wrong = [f"{c.name}: {c.verdict}" for c in theory.checks if c.verdict != "PASS"]
    wrong += [f"step {step.name}: not verified" for step in theory.steps if not step.verified]
    return f"{text}; {'; '.join(wrong)}" if wrong else text


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    theory = results.theory
    assert theory is not None
    yield Paragraph(
        [
            "How large should the initial weights of a ReLU network be, so that signals neither "
            "vanish nor explode with depth? He et al. (2015) answer Var[w] = 2/n for n inputs per "
            "unit. Each step below is checked by machine: ",
            *(strong(span.text) for span in prose(verdict(theory))),
            ".",
        ]
    )
    displays: list[Display] = []
    if theory.layers:
        displays.append(Moments(theory))
    if theory.spreads:
        displays.append(Spread(theory))
    trainability = theory.trainability
    if trainability is not None and trainability.map:
        displays.append(Trainability(trainability))
    text = (
        f"{theory.repetitions} networks of each initialization, {theory.depth} layers of "
        f"{theory.width} units, on {theory.examples:,} of these examples. A network counts as one "
        "sample: its units share inputs and earlier layers."
    )
    heading = Heading("Measured in deep random networks")
    yield Columns([list(_derivation(theory)), [heading, Paragraph(text), Figures(displays)]])
    yield Details(f"All {plural(len(theory.checks), 'check')} of the predictions", [
        check_table(theory),
        Paragraph(
            "A check fails if its interval does not contain the prediction; the intervals hold "
            "simultaneously with 99 % confidence. It passes only if its power, the probability of "
            "detecting a departure that matters (15 %, or 60 % for the relative variance), is at "
            "least 90 %; otherwise it is inconclusive.",
            "small",
        ),
    ])  # fmt: skip
    if trainability is not None:
        yield Details("Accuracy by initialization and depth", list(_trained(trainability)))
    yield Details("Gains of other activations", [
        gain_table(theory),
        Paragraph(
            "Rows in red: PyTorch's gain does not keep the second moment. With a gain that keeps "
            "it, gradients still grow where χ is above 1 and vanish where χ is below 1; only at "
            "the edge of chaos neither happens.",
            "small",
        ),
    ])  # fmt: skip


def _derivation(theory: TheoryResult) -> Iterator[Block]:
    """Yield the steps, what each needs, and what happens without it."""
    yield Heading("The derivation")
    yield Items([
        Item(prose(step.title), [
            Equation(step.statement),
            Paragraph(prose(step.justification)),
            *([] if step.verified else [Paragraph("This step is not verified.", "bad")]),
        ])
        for step in theory.steps
    ])  # fmt: skip
    yield Details("How each step was verified, what it needs, and its source", [
        Items([
            Item(prose(step.title), [
                Paragraph([
                    f"{'verified' if step.verified else 'not verified'}: ",
                    *prose(step.verification),
                ]),
                Paragraph(f"Needs: {', '.join(step.assumptions)}. Source: {step.source}."),
            ])
            for step in theory.steps
        ])
    ])  # fmt: skip
    numbers = {step.name: i + 1 for i, step in enumerate(theory.steps)}
    named = dict.fromkeys(name for step in theory.steps for name in step.assumptions)
    items: list[Item] = []
    for name in named:
        body: list[Block] = [Paragraph(prose(ASSUMPTIONS.get(name, "")))]
        for example in theory.counterexamples:
            if example.assumption != name:
                continue
            verb = " breaks: " if example.breaks else " still holds: "
            text = f"Without it, step {numbers[example.step]}{verb}"
            word = "but" if example.breaks else "and"
            body.append(Paragraph([text, *prose(example.setting), "."], "small"))
            body.append(Equation(example.claimed, word, example.found))
        items.append(Item(capitalized(name), body))
    yield Details("The assumptions, and a counter-example without each", [
        Paragraph("Left: what the step claims; right: the exact value."),
        Items(items, numbered=False),
    ])  # fmt: skip
    wrong = [
        Item([f"Step {numbers.get(x.step, x.step)}: ", *prose(x.title), ": ",
              strong("rejected" if x.refuted else "NOT REJECTED")])
        for x in theory.mutations
    ]  # fmt: skip
    yield Details("Wrong formulas that the checker must reject", [Items(wrong, numbered=False)])


def _trained(result: TrainabilityResult) -> Iterator[Block]:
    spec, rates = result.spec, " or ".join(f"{rate:g}" for rate in result.spec.learning_rates)
    yield Paragraph(
        f"{result.networks} networks of {spec.width} {spec.activation} units a layer were trained "
        f"as one population: {plural(spec.epochs, 'epoch')} of plain SGD on {result.examples:,} "
        f"examples, measured on {result.validation_examples:,}. For each we keep the learning rate "
        f"({rates}) with the lower training loss."
    )
    depths = sorted({network.depth for network in result.comparison})
    networks = {(n.initialization, n.depth): n for n in result.comparison}
    rows: list[Row] = []
    for start in dict.fromkeys(network.initialization for network in result.comparison):
        cells = [_name(start)]
        for depth in depths:
            network = networks[start, depth]
            accuracies = ["diverged" if a is None else percent(a, 1) for a in network.accuracies]
            cells.append(("trains: " if network.trains else "") + ", ".join(accuracies))
        rows.append(Row(cells))
    yield Table(
        "Validation accuracy by seed, by initialization and hidden layers; a network trains if the "
        f"mean of its seeds reaches {percent(result.bar, 1)} (halfway between chance and the best)",
        [Column("initialization", False), *(Column(f"{depth} layers") for depth in depths)],
        rows,
        Trainability.source,
    )


def check_table(theory: TheoryResult) -> Table:
    """List the checks of the predictions with interval and verdict."""
    return Table(
        f"Predictions and measurements in {theory.repetitions} networks of {theory.depth} layers "
        f"of {theory.width} units per initialization, on {theory.examples:,} examples",
        [
            Column("prediction", False),
            *map(Column, ("expected", "measured", "interval", "power")),
            Column("verdict", False),
        ],
        [
            Row([
                *(prose(check.name), number(check.expected), number(check.measured)),
                f"{number(check.interval[0])} to {number(check.interval[1])}",
                *(percent(check.power, 1), check.verdict),
            ], check.verdict.lower())
            for check in theory.checks
        ],
        Source(
            "results.json: theory.checks",
            "means over networks of each initialization; intervals over networks that hold "
            "together with 99 %",
        ),
    )  # fmt: skip


def gain_table(theory: TheoryResult) -> Table:
    """List the gains of all activations beside PyTorch's."""
    headings = ("gain", "error below", "PyTorch", "backward gain", "χ", "edge")
    rows: list[Row] = []
    for gain in theory.gains:
        edge, torch_gain = theory.edges[gain.activation], gain.torch_gain
        wrong = torch_gain is not None and abs(torch_gain - gain.forward) > 1e-6
        pytorch = "not available" if torch_gain is None else f"{torch_gain:.6f}"
        cells = [gain.activation, f"{gain.forward:.6f}", f"{gain.bound:.0e}", pytorch]
        cells += [f"{gain.backward:.6f}", f"{gain.chi:.4f}"]
        cells.append("none" if edge is None else f"{edge:.4f}")
        rows.append(Row(cells, mark="stopped" if wrong else ""))
    return Table(
        "Gains of activations for standard normal z, 1 / √E[f(z)²], with a bound on the error; "
        "PyTorch: torch.nn.init.calculate_gain; χ: factor by which gradients grow per layer under "
        "the gain; edge: n Var[w] at the edge of chaos without biases",
        [Column("activation", False), *map(Column, headings)],
        rows,
        Source("results.json: theory.gains and theory.edges", "quadrature with an error bound"),
    )
