"""What the sections of a search say of its trials: tables, and how one of the best was chosen."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from downslope.report import formats, statements
from downslope.report.blocks import Column, Row, Table
from downslope.report.display import Frame, Source
from downslope.report.formats import percent, plural
from downslope.report.statements import Part, describe, standing
from downslope.report.style import INDIGO, OCHRE
from downslope.search import SearchResult, Trial

STOPPED = ("diverged", "failed")


def colour(standing: str, frame: Frame) -> str:
    """Return the colour of a trial that stands out; where one is chosen, the best has its own."""
    return OCHRE if standing == "best" and "chosen" in frame["standing"] else INDIGO


def varied(trials: Sequence[Trial]) -> list[str]:
    """Name the settings in which trials differ, in the order of their definition."""
    tables = [msgspec.structs.asdict(trial.settings) for trial in trials]
    return [name for name in (tables[0] if tables else {}) if len({t[name] for t in tables}) > 1]


def word(name: str) -> str:
    """Name a setting."""
    return "units per layer" if name == "units" else name.replace("_", " ")


def choice(search: SearchResult) -> str:
    """Say how one of the best trials was chosen, and whether the best had a lucky seed.

    >>> choice(SearchResult(trials=[], best=None, validation_examples=9))
    ''
    """
    choice, chosen = search.choice, search.chosen
    if choice is None or chosen is None:
        return ""
    count, first = len(choice.candidates), choice.candidates[0].trial
    seeds = plural(choice.seeds, "new seed")
    how = {
        "validation": f"with {seeds} on the same training and validation examples",
        "second": f"with {seeds}, and measured on {choice.examples:,} validation examples that "
        "had ranked nothing",
        "folds": f"in {choice.seeds}-fold cross-validation over all training examples",
    }[choice.evidence]
    subject = f"The best {count} trials were" if count > 1 else "The best trial was"
    mean = next((c.mean for c in choice.candidates if c.trial == choice.chosen), None)
    if mean is None:
        return f"{subject} retrained {how}. No training completed, so trial {chosen.id} stays."
    network = "" if chosen.id == first else f" ({describe(chosen)})"
    text = f"{subject} retrained {how}. Trial {chosen.id}{network} was chosen with a mean of "
    text += percent(mean)
    text += f"; as the best of {count} means, it is slightly too high." if count > 1 else "."
    if choice.selection_bias is None:
        return f"{text} No new training of trial {first} completed."
    gap = formats.points(abs(choice.selection_bias), sign=False)
    side = "above" if choice.selection_bias > 0 else "below"
    subject = "it" if chosen.id == first else f"the best, trial {first},"
    text += f" In the search {subject} scored {gap} points {side} its new mean"
    if choice.selection_bias_interval is None:
        return f"{text}."
    lucky = "so its seed was lucky" if choice.selection_bias_interval[0] > 0 else (
        "so there is no evidence of a lucky seed"
    )  # fmt: skip
    interval = formats.points_interval(choice.selection_bias_interval)
    return f"{text} (95 % interval of this selection bias {interval}), {lucky}."


def trial_table(search: SearchResult, part: Part) -> Table:
    """List all trials, the best first, those without an accuracy last with their reason."""

    def order(trial: Trial) -> tuple[bool, float, int]:
        accuracy = trial.validation_accuracy
        best = search.best is not None and search.best.id == trial.id
        return not best, 1.0 if accuracy is None else -accuracy, trial.id

    trials = sorted(search.trials, key=order)
    optional = {
        Column("encoding", False): [t.settings.encoding or "" for t in trials],
        Column("init.", False): [t.settings.initialization for t in trials],
        Column("activation", False): [t.settings.activation for t in trials],
        Column("norm.", False): [t.settings.normalization for t in trials],
        Column("dropout"): [f"{t.settings.dropout:g}" for t in trials],
        Column("optimizer", False): [t.settings.optimizer for t in trials],
        Column("decay"): [f"{t.settings.weight_decay:g}" for t in trials],
        Column("learning rate"): [f"{t.settings.learning_rate:.3g}" for t in trials],
        Column("batch"): [str(t.settings.batch_size) for t in trials],
        Column("epochs"): [str(t.settings.epochs) for t in trials],
    }
    columns = {
        Column("trial"): [str(t.id) for t in trials],
        Column("seed"): [str(t.member.seed) for t in trials],
        Column("val. accuracy"): [percent(t.validation_accuracy) for t in trials],
        Column("val. loss"): [formats.number(t.validation_loss) for t in trials],
        Column("hidden", False): [statements.hidden(t) for t in trials],
        **{column: cells for column, cells in optional.items() if len({*cells}) > 1},
        Column("seconds"): [_seconds(t.seconds) for t in trials],
        Column("outcome", False): [standing(search, t.id) or _outcome(t) for t in trials],
    }
    rows: list[Row] = []
    for trial, *cells in zip(trials, *columns.values(), strict=True):
        mark = "best" if statements.is_chosen(search, trial.id) else ""
        mark = "stopped" if trial.outcome in STOPPED else mark
        about = f"{percent(trial.validation_accuracy)} ({trial.outcome}): {describe(trial)}"
        about += f"; {trial.reason}" if trial.outcome == "pruned" and trial.reason else ""
        rows.append(Row(cells, mark, f"{part}-{trial.id}", about))
    kind = "trials" if part == "search" else "variants"
    source = Source(f"results.json: {_place(part)}.trials", f"also in {part}/trials.sqlite")
    return Table(f"All {kind}, the best first", list(columns), rows, source, True, True)


def _seconds(seconds: float) -> str:
    """Write the time of a trial; short ones must not read 0.0.

    >>> _seconds(0.0312), _seconds(4.04)
    ('0.031', '4.0')
    """
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"


def _place(part: Part) -> str:
    """Return the key of a search in results.json."""
    return "search" if part == "search" else "variants.search"


def _outcome(trial: Trial) -> str:
    """Say how a trial ended: of a pruned one when, of one that failed also why."""
    if trial.outcome == "completed":
        return trial.outcome
    why = f": {trial.reason}" if trial.reason and trial.outcome in STOPPED else ""
    return f"{trial.outcome}{why} (epoch {len(trial.curve)} of {trial.settings.epochs})"


def candidate_table(search: SearchResult, part: Part) -> Table:
    """List the best trials with what they reach when retrained."""
    assert search.choice is not None
    trials = {trial.id: trial for trial in search.trials}
    rows: list[Row] = []
    for candidate in search.choice.candidates:
        trial = trials[candidate.trial]
        each = ", ".join(map(percent, candidate.accuracies)) or "–"
        cells = [str(trial.id), percent(trial.validation_accuracy), percent(candidate.mean)]
        ends = candidate.interval and [min(1.0, max(0.0, end)) for end in candidate.interval]
        cells += [formats.percent_interval(ends)]
        cells += ["; ".join([each, *candidate.stopped]), describe(trial)]
        rows.append(Row(cells, "best" if statements.is_chosen(search, trial.id) else ""))
    methods = {candidate.interval_method for candidate in search.choice.candidates}
    crossed = "crossed" in methods
    over = "trainings and examples" if crossed else "trainings"
    numbers = ("trial", "in the search", "mean retrained", f"95 % interval over {over}")
    columns = [*map(Column, numbers), Column("each time", False), Column("network", False)]
    caption = "Validation accuracy of the best trials in the search, and retrained with new seeds"
    how = "" if crossed else ", Student's t, cut off at 0 and 100 %"
    place = f"results.json: {_place(part)}.choice"
    source = Source(place, f"95 % interval of the mean over {over}{how}")
    return Table(caption, columns, rows, source)


def budget_table(search: SearchResult) -> Table:
    """Say what the search cost, by outcome, and what training every trial in full would have."""
    rows: list[Row] = []
    for outcome in ("completed", "pruned", *STOPPED, "all"):
        trials = [trial for trial in search.trials if outcome in (trial.outcome, "all")]
        epochs = [(len(trial.curve), trial.settings.epochs) for trial in trials]
        full = sum(t.seconds * n / max(1, k) for t, (k, n) in zip(trials, epochs, strict=True))
        counts = (len(trials), sum(k for k, _ in epochs), sum(n for _, n in epochs))
        cells = [outcome, *(f"{count:,}" for count in counts)]
        cells += [formats.duration(sum(t.seconds for t in trials)), formats.duration(full)]
        if trials:
            rows.append(Row(cells, "best" if outcome == "all" else ""))
    heads = ("trials", "epochs", "epochs in full", "core time", "in full (estimated)")
    caption = "What the search cost, and what it would have cost with every trial in full"
    how = "in full: each trial's seconds per epoch times its planned epochs"
    source = Source("results.json: search.trials.seconds", how)
    return Table(caption, [Column("outcome", False), *map(Column, heads)], rows, source)
