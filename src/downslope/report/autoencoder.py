"""The autoencoder section: what it makes of test examples, beside principal components."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from downslope.autoencoders import AutoencoderResult
from downslope.report.arrays import Arrays
from downslope.report.blocks import Block, Column, Details, Figures, Paragraph, Row, Table, strong
from downslope.report.display import Display, Frame, Source, Texts
from downslope.report.formats import loss, number, percent, plural
from downslope.report.reconstructions import PAIRS, CodeMap, Grid, Pairs, Ranked
from downslope.report.style import (
    INDIGO,
    PAPER,
    TEAL,
    count_along,
    fit_scale,
    legend_above,
    log_ticks,
    panel,
)
from downslope.results import Results

_ERRORS = Source(
    "results.json: autoencoder",
    "mean squared error per value, over the test set; principal components fitted to the same "
    "training examples",
)


@dataclass(frozen=True)
class TrainingError(Display):
    """The training error by epoch beside the test errors."""

    result: AutoencoderResult
    name = "autoencoder-training"
    title = "Does it reconstruct better than PCA?"
    source = _ERRORS

    def frame(self) -> Frame:
        result = self.result
        rows: list[tuple[str, int | None, float | None]] = [
            ("training", epoch.epoch, epoch.train_loss) for epoch in result.epochs
        ]
        rows.append(("test", result.epochs[-1].epoch, result.test_mse))
        rows.append(("PCA, test", None, result.pca_test_mse))
        return Frame(("error", "epoch", "mean squared error"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("epoch", "mean squared error")
        training, test, pca = (
            part.numbers("mean squared error") for part in frame.groups("error").values()
        )
        epochs = frame.where(error="training")["epoch"]
        axes.plot(epochs, training, "o-", color=INDIGO, markersize=3.5, label="training")
        axes.plot(
            epochs[-1], test[0], "D", color=INDIGO, mec=PAPER, ms=9, label=f"test, {test[0]:.5f}"
        )
        if np.isfinite(pca[0]):
            axes.axhline(pca[0], color=TEAL, dashes=(5, 3), label=f"PCA, test, {pca[0]:.5f}")
        fit_scale(axes, training, 5)
        count_along(axes.xaxis)
        axes.legend(loc="upper right")
        return figure

    def texts(self) -> Texts:
        errors = (number(self.result.test_mse), number(self.result.pca_test_mse))
        return Texts(
            f"Mean squared error in training (seed {self.result.member.seed}) and on the test set "
            f"({_seeds(self.result)}), compared with PCA with as many components.",
            "Reconstruction error by epoch; test error {}, PCA {}.".format(*errors),
        )


def _seeds(result: AutoencoderResult) -> str:
    completed = len(_completed(result, result.seeds))
    return f"mean of {completed} seeds" if completed > 1 else "one seed"


def _completed(result: AutoencoderResult, values: Sequence[float | None]) -> list[float]:
    """Keep what belongs to the seeds that completed; nothing of a run that did not record it."""
    pairs = zip(values, result.test_mses, strict=False)
    return [value for value, error in pairs if error is not None and value is not None]


@dataclass(frozen=True)
class CodeSizes(Display):
    """The test error against the code size, of autoencoders and of PCA."""

    result: AutoencoderResult
    name = "autoencoder-sizes"
    title = "How large must the code be?"
    source = Source("results.json: autoencoder.ablations", "one training each, on the test set")

    def frame(self) -> Frame:
        result = self.result
        rows: list[tuple[int, str, float | None, float | None]] = [
            (ablation.code_size, "other code size", ablation.test_mse, ablation.pca_test_mse)
            for ablation in result.ablations
            if ablation.kind == "code size"
        ]
        rows.append((result.code_size, "this autoencoder", result.test_mse, result.pca_test_mse))
        rows.sort(key=lambda row: row[0])
        return Frame(("code size", "network", "autoencoder", "PCA"), rows)

    def draw(self, frame: Frame) -> Figure:
        figure, axes = panel("code size", "test error")
        sizes = frame["code size"]
        axes.plot(sizes, frame.numbers("PCA"), "s--", color=TEAL, markersize=5, label="PCA")
        errors = frame.numbers("autoencoder")
        axes.plot(sizes, errors, "o-", color=INDIGO, markersize=5.5, label="autoencoder")
        this = frame.where(network="this autoencoder")
        axes.plot(
            this["code size"], this.numbers("autoencoder"), "o", color=PAPER, mec=INDIGO, mew=1.8,
            markersize=9, label="this run",
        )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        log_ticks(axes.yaxis)
        legend_above(axes)
        return figure

    def texts(self) -> Texts:
        sizes = self.frame()["code size"]
        return Texts(
            "Test error against code size. This run's autoencoder is ringed "
            f"({_seeds(self.result)}); the other sizes were trained once each. PCA with as many "
            "components is the best linear code for the examples that it was fitted to.",
            f"Test error against code sizes from {sizes[0]} to {sizes[-1]}, with PCA.",
        )


def blocks(results: Results, arrays: Arrays) -> Iterator[Block]:
    """Yield the section."""
    result, data, images = results.autoencoder, results.data, arrays.images
    assert result is not None
    yield Paragraph(list(_summary(result, "pixel" if len(data.shape) == 2 else "value")))
    yield from (Paragraph(line, "warning") for line in result.stopped)
    displays: list[Display] = [TrainingError(result)]
    if images is None:
        text = "autoencoder/images.npz is missing or damaged: the pictures are left out."
        yield Paragraph(text, "warning")
    elif result.test_mse is not None and len(images["labels"]):
        about: Any = (images, data.shape, data.class_names)
        displays.append(Pairs(*about))
        if len(images["labels"]) > PAIRS:
            displays.append(Grid(*about))
        if "ranked" in images and images["ranked"].shape[1]:
            displays.append(Ranked(*about))
        if "map" in images and np.ptp(images["map"]) > 0:
            displays.append(CodeMap(*about))
    if any(ablation.kind == "code size" for ablation in result.ablations):
        displays.append(CodeSizes(result))
    yield Figures(displays)
    if use := _use(result):
        yield Paragraph(use, "small")
    if result.ablations:
        yield Details("Other code sizes and shapes", [ablation_table(result)])
    if any(error is not None for error in result.class_mses):
        yield Details("Test error of each class", [class_table(result, data.class_names)])


def _summary(result: AutoencoderResult, value: str) -> Iterator[Any]:
    yield f"{result.member.network.label}, {result.parameters:,} parameters, a code of "
    yield f"{result.code_size}. "
    if result.test_mse is None:
        yield f"The training {result.outcome}; there is no test error."
    else:
        seeds = _completed(result, result.seeds)
        first, last, test = (
            spread(_completed(result, values) or [single])
            for values, single in (
                (result.first_losses, result.epochs[0].train_loss),
                (result.last_losses, result.epochs[-1].train_loss),
                (result.test_mses, result.test_mse),
            )
        )
        yield f"Training error {first} in the first epoch and "
        yield strong(last)
        yield " in the last; test error "
        yield strong(test)
        if len(seeds) > 1:
            yield f" (mean ± standard deviation of {len(seeds)} seeds)"
        if result.pca_test_mse:
            features = result.member.network.widths[0]
            components = plural(min(result.code_size, features), "component")
            gap = (result.test_mse - result.pca_test_mse) / result.pca_test_mse
            side = "below" if gap < 0 else "above"
            yield f", {percent(abs(gap), 1)} {side} the {number(result.pca_test_mse)} of PCA with "
            yield components
        yield "."
    yield f" Errors are mean squared, per {value} in [0, 1]."
    if result.probes:
        kinds = {"code": "code units", "components": "principal components", "inputs": "inputs"}
        read = [
            f"{percent(probe.accuracy)} from {probe.size} {kinds[probe.features]}"
            for probe in result.probes
        ]
        yield f" A linear classifier (ridge) finds the class with an accuracy of {', '.join(read)}."


def final_training(result: AutoencoderResult) -> str:
    """Write the training error of the last epoch, the mean over seeds as the test error is."""
    losses = _completed(result, result.last_losses)
    return loss(statistics.fmean(losses) if losses else result.epochs[-1].train_loss)


def spread(values: Sequence[float | None]) -> str:
    """Write the mean and the standard deviation of those values that there are.

    >>> spread([None]), spread([0.5, None]), spread([0.0081, 0.0083])
    ('–', '0.50000', '0.00820 ± 0.00014')
    """
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    text = f"{statistics.fmean(numbers):.5f}"
    return text if len(numbers) == 1 else f"{text} ± {statistics.stdev(numbers):.5f}"


def _use(result: AutoencoderResult) -> str:
    """Say how many code units are used, and of which seed pictures are; empty for an old run."""
    if result.dead is None:
        return ""
    text = (
        f"An example uses {percent(result.active, 0)} of the {result.code_size} code units on "
        f"average; {result.dead} are zero for every test example. Code units, pictures, the linear "
        "classifier, and errors by class and example belong to the first seed that completed."
    )
    if result.sparsity:
        text += f" The mean absolute code was added to the error with weight {result.sparsity:g}."
    if result.noisy_test_mse is not None:
        noise = result.noise
        text += (
            f" With the training's noise ({noise.kind.replace('_', ' ')}, {noise.amount:g}) on the "
            "test inputs the error against the clean ones is "
            f"{number(result.noisy_test_mse)}, that of PCA {number(result.pca_noisy_test_mse)}."
        )
    return text


def ablation_table(result: AutoencoderResult) -> Table:
    """List the autoencoders that were trained beside this run's, with PCA's errors."""

    def cells(one: Any, network: str, outcome: str) -> list[str]:
        error, pca = one.test_mse, one.pca_test_mse
        gain = "–" if error is None or not pca else f"{100 * (error / pca - 1):+.1f} %"
        text = outcome if error is None else number(error)
        counts = [network, f"{one.parameters:,}", str(one.code_size)]
        return [*counts, text, number(pca), gain.replace("-", "−")]

    rows = [Row(cells(result, result.member.network.label, "–"), "best")]
    rows += [
        Row(cells(ablation, ablation.network, ablation.outcome)) for ablation in result.ablations
    ]
    headings = ("parameters", "code size", "test error", "PCA", "against PCA")
    return Table(
        f"Autoencoders of the same training, this run's first (its error: {_seeds(result)})",
        [Column("network", False), *map(Column, headings)],
        rows,
        CodeSizes.source,
    )


def class_table(result: AutoencoderResult, names: Sequence[str]) -> Table:
    """List the test error of each class, the hardest first."""
    pairs = zip(result.class_mses, result.pca_class_mses, strict=True)
    errors = [(error, pca, i) for i, (error, pca) in enumerate(pairs) if error is not None]
    return Table(
        "Test error by class of the first seed that completed, the hardest first",
        [Column("class", False), Column("autoencoder"), Column("PCA")],
        [
            Row([names[i] if i < len(names) else str(i), number(error), number(pca)])
            for error, pca, i in sorted(errors, key=lambda one: -one[0])
        ],
        _ERRORS,
    )
