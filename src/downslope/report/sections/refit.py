"""The final model's section: its figures with captions, and its tables."""

from __future__ import annotations

from collections.abc import Iterator

from downslope.report.figures import refit
from downslope.report.figures.drawn import to_csv
from downslope.report.picture import Picture, picture
from downslope.report.tables import Row, Table
from downslope.report.wording import figure as number
from downslope.report.wording import loss, percent
from downslope.results import Results
from downslope.search import RefitResult


def pictures(results: Results) -> Iterator[Picture]:
    """Draw the final model: its losses, what it mistakes for what."""
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
            to_csv(
                (
                    ("true class", "predicted class", "examples"),
                    [
                        (results.data.class_names[i], results.data.class_names[j], count)
                        for i, row in enumerate(found.confusion)
                        for j, count in enumerate(row)
                    ],
                )
            ),
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
