"""The tables of a search: its trials, the best ones again, those that stopped, the cost."""

from __future__ import annotations

import msgspec

from downslope.report.figures.drawn import to_csv
from downslope.report.statements import is_chosen, standing
from downslope.report.tables import Row, Table
from downslope.report.wording import describe, duration, figure, hidden, percent
from downslope.search import SearchResult


def trial_table(search: SearchResult, caption: str, part: str = "search") -> Table:
    """List all trials, the best first, those without an accuracy last with their reason.

    Args:
        search: with the trials.
        caption: of the table.
        part: "search" or "variants", to link rows with figures.
    """
    order = sorted(
        search.trials,
        key=lambda t: (
            search.best is None or t.id != search.best.id,
            -(-1.0 if t.validation_accuracy is None else t.validation_accuracy),
            t.id,
        ),
    )
    variety = {
        "init.": [t.settings.initialization for t in order],
        "activation": [t.settings.activation for t in order],
        "norm.": [t.settings.normalization for t in order],
        "dropout": [f"{t.settings.dropout:g}" for t in order],
        "optimizer": [t.settings.optimizer for t in order],
        "decay": [f"{t.settings.weight_decay:g}" for t in order],
    }
    shown = {name: values for name, values in variety.items() if len(set(values)) > 1}
    rows: list[Row] = []
    for i, trial in enumerate(order):
        own, outcome = trial.settings, trial.outcome
        note = standing(search, trial.id)
        rows.append(
            Row(
                [
                    str(trial.id),
                    str(trial.member.seed),
                    percent(trial.validation_accuracy),
                    figure(trial.validation_loss),
                    hidden(trial),
                    *[values[i] for values in shown.values()],
                    f"{own.learning_rate:.3g}",
                    str(own.batch_size),
                    str(own.epochs),
                    f"{trial.seconds:.1f}",
                    note or outcome + (f": {trial.reason}" if trial.reason else ""),
                ],
                mark="best"
                if is_chosen(search, trial.id)
                else "stopped"
                if outcome in ("diverged", "failed")
                else "",
                trial=f"{part}-{trial.id}",
                about=f"{percent(trial.validation_accuracy)} ({outcome}): {describe(trial)}",
            )
        )
    numeric = {"dropout", "decay"}
    return Table(
        caption=caption,
        columns=[
            ("trial", True),
            ("seed", True),
            ("val. accuracy", True),
            ("val. loss", True),
            ("hidden", False),
            *[(name, name in numeric) for name in shown],
            ("learning rate", True),
            ("batch", True),
            ("epochs", True),
            ("seconds", True),
            ("outcome", False),
        ],
        rows=rows,
        tall=True,
        sortable=True,
    )


def candidate_table(search: SearchResult) -> Table:
    """List the best trials with what they reach when trained again."""
    choice = search.choice
    assert choice is not None
    trials = {t.id: t for t in search.trials}
    method = choice.candidates[0].interval_method if choice.candidates else "t"
    rows: list[Row] = []
    for candidate in choice.candidates:
        trial, interval = trials[candidate.trial], candidate.interval
        again = ", ".join(percent(a) for a in candidate.accuracies) or "–"
        rows.append(
            Row(
                [
                    str(trial.id),
                    percent(trial.validation_accuracy),
                    percent(candidate.mean),
                    f"{percent(interval[0])} to {percent(interval[1])}" if interval else "–",
                    "; ".join([again, *candidate.stopped]),
                    describe(trial),
                ],
                mark="best" if is_chosen(search, trial.id) else "",
            )
        )
    return Table(
        caption=f"The best {len(rows)} trials, each trained again {choice.seeds} times",
        columns=[
            ("trial", True),
            ("in the search", True),
            ("mean again", True),
            (f"95 % interval ({method})", True),
            ("each time", False),
            ("settings", False),
        ],
        rows=rows,
    )


def stopped_table(search: SearchResult) -> Table:
    """List the trials that diverged or failed, with why."""
    stopped = [t for t in search.trials if t.outcome in ("diverged", "failed")]
    return Table(
        caption="Trials that diverged or failed",
        columns=[
            ("trial", True),
            ("outcome", False),
            ("epoch", True),
            ("why", False),
            ("settings", False),
        ],
        rows=[
            Row(
                [
                    str(t.id),
                    t.outcome,
                    f"{len(t.curve)} of {t.settings.epochs}",
                    t.reason,
                    describe(t),
                ],
                mark="stopped",
            )
            for t in stopped
        ],
        tall=True,
    )


def budget_table(search: SearchResult) -> Table:
    """Say what the search cost, by outcome, and what training every trial in full would have."""
    rows: list[Row] = []
    totals = [0.0, 0.0, 0.0, 0.0]
    for outcome in ("completed", "pruned", "diverged", "failed"):
        own = [t for t in search.trials if t.outcome == outcome]
        if not own:
            continue
        full = [t.seconds * t.settings.epochs / max(1, len(t.curve)) for t in own]
        numbers = [
            float(sum(len(t.curve) for t in own)),
            float(sum(t.settings.epochs for t in own)),
            sum(t.seconds for t in own),
            sum(full),
        ]
        totals = [a + b for a, b in zip(totals, numbers, strict=True)]
        rows.append(Row([outcome, f"{len(own):,}", *_budget(numbers)]))
    rows.append(Row(["all", f"{len(search.trials):,}", *_budget(totals)], mark="best"))
    return Table(
        caption="What the search cost, and what it would have cost with every trial in full",
        columns=[
            ("outcome", False),
            ("trials", True),
            ("epochs", True),
            ("epochs in full", True),
            ("core time", True),
            ("in full (estimated)", True),
        ],
        rows=rows,
    )


def _budget(numbers: list[float]) -> list[str]:
    epochs, in_full, seconds, full = numbers
    return [f"{epochs:,.0f}", f"{in_full:,.0f}", duration(seconds), duration(full)]


def trial_data(search: SearchResult) -> str:
    """Write all trials with all of their settings as CSV."""
    columns = ("trial", "seed", "outcome", "reason", "validation_accuracy", "validation_loss")
    settings = [msgspec.structs.asdict(t.settings) for t in search.trials]
    names = list(settings[0]) if settings else []
    return to_csv(
        (
            (*columns, "train_loss", "epochs_trained", "seconds", *names),
            [
                (
                    *(t.id, t.member.seed, t.outcome, t.reason, t.validation_accuracy),
                    *(t.validation_loss, t.train_loss, len(t.curve), t.seconds),
                    *(own[name] for name in names),
                )
                for t, own in zip(search.trials, settings, strict=True)
            ],
        )
    )


def curve_data(search: SearchResult) -> str:
    """Write every epoch of every trial as CSV."""
    return to_csv(
        (
            ("trial", "epoch", "train_loss", "validation_loss", "validation_accuracy"),
            [
                (t.id, e.epoch, e.train_loss, e.validation_loss, e.validation_accuracy)
                for t in search.trials
                for e in t.curve
            ],
        )
    )
