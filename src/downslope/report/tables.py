"""The page's tables: captions, columns and rows of text, ready to be set."""

from __future__ import annotations

from dataclasses import dataclass, field

from downslope.landscape import LandscapeResult
from downslope.reconstruction import AutoencoderResult
from downslope.report.wording import describe, duration, figure, loss, percent, prose
from downslope.search import RefitResult, SearchResult
from downslope.theory import TheoryResult, TrainabilityResult


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a row: its cells and a mark that styles it, for example "best"."""

    cells: list[str]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold a table.

    Args:
        caption: what it holds.
        columns: heading and whether its cells are numbers, set to the right.
        rows: of as many cells.
        tall: whether it may scroll within a limited height.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[Row] = field(default_factory=list[Row])
    tall: bool = False


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
                    figure(check.expected),
                    figure(check.measured),
                    f"{figure(check.interval[0])} to {figure(check.interval[1])}",
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


def trial_table(search: SearchResult, caption: str) -> Table:
    """List all trials, the best first, those without an accuracy last with their reason."""
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
        best = search.best is not None and trial.id == search.best.id
        chosen = search.chosen is not None and trial.id == search.chosen.id
        note = " and ".join(["best"] * best + ["chosen"] * (chosen and search.choice is not None))
        rows.append(
            Row(
                [
                    str(trial.id),
                    str(trial.member.seed),
                    percent(trial.validation_accuracy),
                    figure(trial.validation_loss),
                    f"{own.hidden_layers}×{own.units}",
                    *[values[i] for values in shown.values()],
                    f"{own.learning_rate:.3g}",
                    str(own.batch_size),
                    str(own.epochs),
                    f"{trial.seconds:.1f}",
                    note or outcome + (f": {trial.reason}" if trial.reason else ""),
                ],
                mark="best" if note else "stopped" if outcome in ("diverged", "failed") else "",
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
    )


def candidate_table(search: SearchResult) -> Table:
    """List the best trials with what they reach when trained again."""
    choice = search.choice
    assert choice is not None
    trials = {t.id: t for t in search.trials}
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
                    f"{trial.settings.hidden_layers}×{trial.settings.units}",
                    f"{trial.settings.learning_rate:.3g}",
                    str(trial.settings.batch_size),
                ],
                mark="best" if trial.id == choice.chosen else "",
            )
        )
    return Table(
        caption=f"The best {len(rows)} trials, each trained again {choice.seeds} times",
        columns=[
            ("trial", True),
            ("in the search", True),
            ("mean again", True),
            ("95 % interval", True),
            ("each time", False),
            ("hidden", False),
            ("learning rate", True),
            ("batch", True),
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
                    describe(t.settings),
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


def epoch_table(refit: RefitResult) -> Table:
    """List the training loss of the last 20 epochs, with the test accuracy where monitored."""
    last = refit.epochs[-20:]
    monitored = any(e.test_accuracy is not None for e in last)
    several = len(refit.seeds) > 1
    columns = [("epoch", True), ("mean loss" if several else "loss", True)]
    if several:
        columns += [(f"seed {seed}", True) for seed in refit.seeds]
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


def minibatch_table(refit: RefitResult) -> Table:
    """List the training loss of the last minibatches of the first seed."""
    last = refit.last_minibatches
    return Table(
        caption=f"Training loss of the last {len(last)} minibatches of seed {refit.member.seed} "
        "(nats)",
        columns=[("step", True), ("loss", True)],
        rows=[Row([f"{b.step:,}", loss(b.train_loss)]) for b in last],
    )


def path_table(landscape: LandscapeResult) -> Table:
    """List the snapshots of the path with both losses and their distance from the plane."""
    return Table(
        caption="Snapshots of the path: coordinates in the plane, losses in nats, and the "
        "distance from the plane in the units of the parameters",
        columns=[
            ("step", True),
            ("x", True),
            ("y", True),
            ("true loss", True),
            ("projected loss", True),
            ("residual", True),
        ],
        rows=[
            Row(
                [
                    f"{p.step:,}",
                    f"{p.x:.3f}".replace("-", "−"),
                    f"{p.y:.3f}".replace("-", "−"),
                    loss(p.true_loss),
                    loss(p.projected_loss),
                    f"{p.residual:.3f}",
                ]
            )
            for p in landscape.path
        ],
        tall=True,
    )


def rival_table(coder: AutoencoderResult) -> Table:
    """List the autoencoders that were trained beside the one in question, with PCA's errors."""
    own = [
        coder.member.network.label,
        f"{coder.parameters:,}",
        str(coder.code_size),
        figure(coder.test_mse),
        figure(coder.pca_test_mse),
        _gain(coder.test_mse, coder.pca_test_mse),
    ]
    rows = [Row(own, mark="best")]
    rows += [
        Row(
            [
                r.network,
                f"{r.parameters:,}",
                str(r.code_size),
                figure(r.test_mse) if r.test_mse is not None else r.outcome,
                figure(r.pca_test_mse),
                _gain(r.test_mse, r.pca_test_mse),
            ]
        )
        for r in coder.rivals
    ]
    return Table(
        caption="Autoencoders of the same training, the one in question first (its error is the "
        "mean over seeds)",
        columns=[
            ("network", False),
            ("parameters", True),
            ("code size", True),
            ("test error", True),
            ("PCA", True),
            ("against PCA", True),
        ],
        rows=rows,
    )


def _gain(own: float | None, pca: float | None) -> str:
    return "–" if own is None or not pca else f"{100 * (own / pca - 1):+.1f} %".replace("-", "−")
