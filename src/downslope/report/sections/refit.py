"""The final model's section: its figures with captions, and its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downslope.report.figures import answers, refit
from downslope.report.figures.drawn import to_csv
from downslope.report.images import arrange, is_picture
from downslope.report.picture import Picture, picture
from downslope.report.tables import Row, Table
from downslope.report.wording import figure as number
from downslope.report.wording import loss, percent
from downslope.results import Results
from downslope.search import RefitResult
from downslope.statistics import class_scores, reliability


def pictures(results: Results, given: dict[str, NDArray[Any]] | None = None) -> Iterator[Picture]:
    """Draw the final model: its losses, what it mistakes for what, how sure it is.

    Args:
        results: of the run.
        given: the arrays of refit/predictions.npz; None where a run has none with confidences.
    """
    found = results.refit
    if found is None:
        return
    training = refit.training(found)
    yield picture(
        "refit-loss",
        refit.draw_training(training),
        f"Training loss by epoch of {len(found.seeds)} seeds, from {number(training.mean[0])} "
        f"to {number(training.mean[-1])} nats.",
        "Training loss of the final model after each epoch.",
    )
    if training.accuracy:
        yield picture(
            "refit-accuracy",
            refit.draw_accuracy(training),
            f"Test accuracy by epoch, {percent(training.accuracy[-1][1])} at the end.",
            "Test accuracy after each epoch, as the recipe asks for. Nothing was chosen by it.",
        )
    if any(b.train_loss is not None for b in found.last_minibatches):
        yield picture(
            "refit-minibatches",
            refit.draw_minibatches(found),
            f"Training loss of the last {len(found.last_minibatches)} minibatches.",
            f"Training loss of the last {len(found.last_minibatches)} minibatches, "
            f"seed {found.member.seed}.",
        )
    if found.confusion:
        hits = sum(found.confusion[i][i] for i in range(len(found.confusion)))
        total = sum(map(sum, found.confusion))
        yield picture(
            "refit-confusion",
            refit.draw_confusion(found.confusion, results.data.class_names),
            f"Confusion matrix: {hits:,} of {total:,} test examples are on the diagonal.",
            "Confusion matrix of the first seed that completed, on the test set: counts, and their "
            "share of the true class. The "
            "colour follows the square root of the share, so that rare errors show.",
            _confusion_data(found.confusion, results.data.class_names),
        )
        scores = class_scores(found.confusion)
        yield picture(
            "refit-classes",
            answers.draw_classes(
                results.data.class_names, [(s.f1, s.f1_interval) for s in scores], "F1 (%)"
            ),
            "F1 of each class with its interval, the lowest first.",
            "F1 by class of the first seed that completed, the hardest first; the band is its 95 % "
            "interval.",
        )
    if given is not None and given["confidences"].size:
        yield from _answers(results, given)


def _answers(results: Results, given: dict[str, NDArray[Any]]) -> Iterator[Picture]:
    names, shape = results.data.class_names, results.data.shape
    right = given["predictions"] == given["truth"]
    sure = reliability(given["confidences"], right)
    low, high = sure.interval
    yield picture(
        "refit-calibration",
        answers.draw_reliability(sure),
        f"Accuracy against confidence in {len(sure.bins)} bins; expected calibration error "
        f"{percent(sure.error)}.",
        f"Is it as sure as it may be? Expected calibration error {percent(sure.error)} (95 % "
        f"interval {percent(low)} to {percent(high)}): on average, confidence is off by that "
        f"much. The mean confidence is {percent(sure.confidence)}, the accuracy "
        f"{percent(sure.accuracy)}. Below: how many answers are how sure, over all seeds.",
    )
    chosen = given.get("mistakes", np.empty(0, np.int64))
    if is_picture(shape) and len(chosen):
        images = arrange(given["mistake_inputs"], shape)
        truth = [names[int(k)] for k in given["truth"][chosen]]
        said = [names[int(k)] for k in given["predictions"][0][chosen]]
        confidences = given["confidences"][0][chosen].tolist()
        yield picture(
            "refit-mistakes",
            answers.draw_mistakes(images, truth, said, confidences),
            f"The {len(images)} most confident mistakes: "
            + "; ".join(f"{a} taken for {b}" for a, b in zip(truth[:4], said[:4], strict=True)),
            f"The {len(images)} wrong answers that the first seed was surest of: what it said, "
            "with which probability, and below what the label says. Some labels are doubtful.",
            to_csv(
                (
                    ("test example", "label", "answer", "confidence"),
                    list(zip(chosen.tolist(), truth, said, confidences, strict=True)),
                )
            ),
        )


def _confusion_data(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    return to_csv(
        (
            ("true class", "predicted class", "examples"),
            [
                (names[i], names[j], count)
                for i, row in enumerate(confusion)
                for j, count in enumerate(row)
            ],
        )
    )


def class_table(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Table:
    """List precision, recall and F1 of each class with their intervals."""
    rows: list[Row] = []
    for name, score in zip(names, class_scores(confusion), strict=True):
        cells = [name, f"{score.examples:,}"]
        for value, interval in (
            (score.precision, score.precision_interval),
            (score.recall, score.recall_interval),
            (score.f1, score.f1_interval),
        ):
            ends = "–" if interval is None else " to ".join(f"{100 * x:.1f}" for x in interval)
            cells += [percent(value, 1), ends]
        rows.append(Row(cells))
    return Table(
        caption="Precision, recall and F1 of each class, of the first seed that completed, with "
        "95 % intervals (%)",
        columns=[
            ("class", False),
            *[
                (name, True)
                for name in (
                    *("examples", "precision", "precision, interval", "recall", "recall, interval"),
                    *("F1", "F1, interval"),
                )
            ],
        ],
        rows=rows,
        tall=len(rows) > 20,
        sortable=True,
    )


def epoch_table(found: RefitResult) -> Table:
    """List the training loss of the last 20 epochs, with the test accuracy where monitored."""
    last = found.epochs[-20:]
    monitored = any(e.test_accuracy is not None for e in last)
    several = len(found.seeds) > 1
    columns = [("epoch", True), ("mean loss" if several else "loss", True)]
    if several:
        columns += [(f"seed {seed}", True) for seed in found.seeds]
    if monitored:
        columns.append(("test accuracy", True))
    rows: list[Row] = []
    for epoch in last:
        cells = [str(epoch.epoch), loss(epoch.train_loss)]
        if several:
            cells += [loss(x) for x in epoch.train_loss_per_seed]
        if monitored:
            cells.append(percent(epoch.test_accuracy))
        rows.append(Row(cells))
    return Table(f"Training loss of the last {len(last)} epochs (nats)", columns, rows)


def minibatch_table(found: RefitResult) -> Table:
    """List the training loss of the last minibatches of the first seed."""
    last = found.last_minibatches
    return Table(
        caption=f"Training loss of the last {len(last)} minibatches of seed {found.member.seed} "
        "(nats)",
        columns=[("step", True), ("loss", True)],
        rows=[Row([f"{b.step:,}", loss(b.train_loss)]) for b in last],
    )
