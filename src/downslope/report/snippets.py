"""The stages of a run as a user would write them in Python, with the run's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from downslope.landscape import Grid
from downslope.recipe import Recipe, RefitRecipe, SearchRecipe
from downslope.reconstruction import Corruption
from downslope.results import Results
from downslope.search import Halving, Range

WIDTH = 88


def snippets(results: Results) -> dict[str, str]:
    """Write the code of each stage of a run; each goes on from those before.

    The code makes the same numbers as the run, to the last bit on the same kind of processor.

    Args:
        results: of the run, for its recipe and its stages.

    Returns:
        By stage, the data first: a piece of Python of at most ten statements.
    """
    recipe = results.recipe
    makers = {
        "theory": _theory,
        "search": _search,
        "refit": _refit,
        "variants": _variants,
        "landscape": _landscape,
        "autoencoder": _autoencoder,
    }
    found = {"data": _data(recipe)}
    for stage, make in makers.items():
        if getattr(results, stage) is not None:
            found[stage] = make(recipe)
    return found


def _call(start: str, arguments: list[str], end: str = ")") -> str:
    """Write a call, on one line where it fits, else as many arguments on a line as fit."""
    whole = f"{start}{', '.join(arguments)}{end}"
    if len(whole) <= WIDTH:
        return whole
    lines, line = [start], ""
    for argument in arguments:
        if line and len(line) + len(argument) + 7 > WIDTH:
            lines.append(f"    {line.rstrip()}")
            line = ""
        line += f"{argument}, "
    return "\n".join([*lines, f"    {line.rstrip()}", end])


def _keywords(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in values.items()]


def _literal(value: Any) -> str:
    """Write a value as Python, strings in double quotes where they have none themselves.

    >>> print(_literal({"a": ["b", (1,)]}), _literal('"'))
    {"a": ["b", (1,)]} '"'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(k)}: {_literal(v)}' for k, v in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    text = repr(value)
    if isinstance(value, str) and '"' not in text and text.startswith("'"):
        return f'"{text[1:-1]}"'
    return text


def _changed(struct: msgspec.Struct) -> list[str]:
    """List the fields of a structure that differ from their defaults, as keywords."""
    given: dict[str, Any] = msgspec.structs.asdict(struct)
    plain: dict[str, Any] = msgspec.structs.asdict(type(struct)())
    return _keywords({name: value for name, value in given.items() if value != plain[name]})


def _data(recipe: Recipe) -> str:
    given = recipe.data
    label = [] if given.label is None else [f"label={_literal(given.label)}"]
    label += [] if given.kind is None else [f"kind={_literal(given.kind)}"]
    seed = recipe.seed if given.split_seed is None else given.split_seed
    return "\n".join(
        [
            "from pathlib import Path",
            "from downslope import drain, load",
            "from downslope.data import Scaling, split",
            "",
            _call("data = load(", [_literal(given.name), *label]),
            f"rows, held_out = split(data.training, {given.validation!r}, seed={seed})",
            f"scaling = Scaling.fit(data.training.take(rows), data.white, {given.center!r})",
            "everything = scaling.apply(data.training)",
            "training, validation = everything.take(rows), everything.take(held_out)",
            "inputs, classes = everything.inputs.shape[1], len(data.class_names)",
        ]
    )


def _theory(recipe: Recipe) -> str:
    given = recipe.theory
    lines = ["from downslope.theory import TrainabilitySpec, run_theory, train_deep_networks", ""]
    asked = {"depth": given.depth, "width": given.width, "repetitions": given.repetitions}
    lines += [
        f"examples = min({given.examples}, len(training))",
        _call(
            "theory = drain(run_theory(",
            ["training.inputs", *_keywords(asked), "examples=examples", f"seed={recipe.seed}"],
            "))",
        ),
        "for check in theory.checks:",
        "    print(check.name, check.expected, check.measured, check.interval, check.verdict)",
    ]
    if not given.trainability.depths:
        lines[0] = "from downslope.theory import run_theory"
        return "\n".join(lines)
    return "\n".join(
        [
            *lines,
            _call("spec = TrainabilitySpec(", _changed(given.trainability)),
            _call(
                "deep = drain(train_deep_networks(",
                ["spec", "training", "validation", "classes=classes", f"seed={recipe.seed}"],
                "))",
            ),
        ]
    )


def _space(given: SearchRecipe) -> list[str]:
    base = f"base=Settings({', '.join(_keywords(given.settings))})"
    values = [f"{_literal(name)}: {_value(value)}," for name, value in given.space.items()]
    more = [f"conditions={_literal(given.conditions)}"] if given.conditions else []
    more += [f"constraints={_literal(given.constraints)}"] if given.constraints else []
    lines = [f"    {base},", "    values={", *(f"        {value}" for value in values), "    },"]
    return ["space = Space(", *lines, *(f"    {word}," for word in more), ")"]


def _value(values: list[Any] | Range) -> str:
    if not isinstance(values, Range):
        return _literal(values)
    log = ", log=True" if values.log else ""
    return f"Range(low={values.low!r}, high={values.high!r}{log})"


def _searching(recipe: Recipe, given: SearchRecipe, part: str, found: str, winner: str) -> str:
    stopping = ", ".join(_changed(given.halving))
    halving = [f"halving=Halving({stopping})"] if stopping else []
    made = given.choice
    lines = _space(given)
    ranking, second = "validation", "validation"
    if made.second:
        lines += [
            f"order = np.random.default_rng({recipe.seed}).permutation(len(validation))",
            f"count = min(max(1, round({made.second!r} * len(validation))), len(validation) - 1)",
            "second = validation.take(np.sort(order[:count]))",
            "ranking = validation.take(np.sort(order[count:]))",
        ]
        ranking, second = "ranking", "second"
    lines.append(
        _call(
            f"{found} = drain(search(",
            [
                f"Proposer(space, {_literal(given.sampler)}, {recipe.seed})",
                "training",
                ranking,
                f"trials={given.trials}",
                *halving,
                "classes=classes",
                f"seed={recipe.seed}",
                f'store=Path("{part}.sqlite")',
            ],
            "))",
        )
    )
    if made.top == 1:
        lines.append(f"best = {found}.best")
    else:
        evidence = "folds" if made.folds else "second" if made.second else "validation"
        rounds = f"[Round(training, {second}, {made.seeds})]"
        if made.folds:
            fit = f"lambda rows: Scaling.fit(rows, data.white, {recipe.data.center})"
            rounds = f"folds(data.training, {made.folds}, {recipe.seed}, {fit})"
        lines += [
            _call(
                "choice = drain(choose(",
                [
                    found,
                    rounds,
                    f'evidence="{evidence}"',
                    f"top={made.top}",
                    "classes=classes",
                    f"seed={recipe.seed + given.trials}",
                    f'store=Path("{part}-again.sqlite")',
                ],
                "))",
            ),
            f"best = next(t for t in {found}.trials if t.id == choice.chosen)",
        ]
    return "\n".join(
        [
            *lines,
            f"{winner} = best.settings",
            "print(best.id, best.validation_accuracy, best.settings)",
        ]
    )


def _import(given: SearchRecipe, *more: str) -> str:
    """Import what a search needs."""
    names = {"Proposer", "Settings", "Space", "search", *more}
    names |= {"Range"} if any(isinstance(v, Range) for v in given.space.values()) else set()
    names |= {"Halving"} if given.halving != Halving() else set()
    if given.choice.top > 1:
        names |= {"choose", "folds" if given.choice.folds else "Round"}
    listed = ", ".join(sorted(names))
    start = "import numpy as np\n" if given.choice.second else ""
    line = f"from downslope.search import {listed}"
    if len(line) <= WIDTH:
        return start + line
    return f"{start}from downslope.search import (\n    {listed},\n)"


def _search(recipe: Recipe) -> str:
    body = _searching(recipe, recipe.search, "search", "found", "winner")
    return f"{_import(recipe.search)}\n\n{body}"


def _resolved(given: RefitRecipe, winner: str) -> str:
    start = winner
    if given.choice is not None:
        start = f"Settings({', '.join(_keywords(given.choice))})"
    changes = dict(given.settings)
    if given.epochs is not None:
        changes["epochs"] = given.epochs
    return f"{start}.replace({_literal(changes)})" if changes else start


def _refitting(recipe: Recipe, given: RefitRecipe, names: tuple[str, str, str], more: str) -> str:
    member, done, winner = names
    seeds = given.seeds_from(recipe.seed)
    options = ["monitor_test=True"] if given.monitor_test else []
    options += [more] if more else []
    arguments = [member, repr(seeds), "everything", "data.test", "scaling", *options]
    return "\n".join(
        [
            f"{member} = {_resolved(given, winner)}.member(inputs, classes, seed={recipe.seed})",
            _call(f"{done} = drain(refit(", arguments, "))"),
            f"print({done}.result.test_accuracy)  # mean, per seed, interval, spread",
        ]
    )


def _refit(recipe: Recipe) -> str:
    count = recipe.landscape.snapshots_per_epoch
    body = _refitting(
        recipe, recipe.refit, ("member", "trained", "winner"), f"snapshots_per_epoch={count}"
    )
    start = "Settings, refit" if recipe.refit.choice is not None else "refit"
    return f"from downslope.search import {start}\n\n{body}"


def _variants(recipe: Recipe) -> str:
    given = recipe.variants
    body = _searching(recipe, given, "variants", "variants", "variant")
    again = _refitting(recipe, given.refit, ("rival", "retrained", "variant"), "")
    return f"{_import(given, 'refit')}\n\n{body}\n{again}"


def _landscape(recipe: Recipe) -> str:
    given = recipe.landscape
    start = ", 0" if given.start else ""
    lines = [
        "import numpy as np",
        "import torch",
        "from downslope import Trajectory, build, compute_landscape",
        "from downslope.landscape import Grid",
        "from downslope.networks import flatten",
        "",
        "module = build(member.network, torch.Generator().manual_seed(member.seed))",
        "path = Trajectory()",
    ]
    if start:
        lines.append("path.add(flatten(module), step=0, loss=np.nan)")
    else:
        lines.remove("from downslope.networks import flatten")
        lines.remove("import numpy as np")
    plain = type(given)()
    asked: dict[str, Any] = {
        name: getattr(given, name)
        for name in ("components", "origin")
        if getattr(given, name) != getattr(plain, name)
    }
    grid = Grid(*given.grid, given.margin, given.spacing)
    asked |= {"grid": grid, "subset": given.examples, "seed": recipe.seed}
    asked |= {"curvature_points": given.curvature} if given.curvature else {}
    return "\n".join(
        [
            *lines,
            "for snapshot in trained.snapshots:",
            "    path.add(snapshot.parameters, step=snapshot.step, loss=snapshot.loss)",
            "state = trained.states[member.seed]",
            "module.load_state_dict({k: torch.as_tensor(v) for k, v in state.items()})",
            _call(
                "drawn = drain(compute_landscape(",
                ["module", "path", "everything", *_keywords(asked)],
                "))",
            ),
            "print(drawn.result.explained_variance, drawn.surface.loss.shape)",
        ]
    )


def _autoencoder(recipe: Recipe) -> str:
    given = recipe.autoencoder
    start = {} if given.initialization == "pytorch" else {"initialization": given.initialization}
    widths = ", ".join(str(width) for width in given.hidden)
    network = [f"widths=(inputs, {widths}, inputs)", 'output="sigmoid"', *_keywords(start)]
    training = _keywords({"loss": "mean_squared_error", **msgspec.structs.asdict(given.training)})
    quiet = ("momentum=0.0", "nesterov=False", "weight_decay=0.0", 'decay_on="weights"')
    training = [word for word in training if word not in quiet]
    more: dict[str, Any] = {"seeds": given.seeds_from(recipe.seed)}
    more |= {"code_sizes": given.code_sizes} if given.code_sizes else {}
    more |= {"shapes": given.shapes} if given.shapes else {}
    more |= {"sparsity": given.sparsity} if given.sparsity else {}
    words = ["shape=data.shape", *_keywords(more)]
    noisy = given.noise != Corruption()
    words += [f"noise=Corruption({', '.join(_changed(given.noise))})"] if noisy else []
    return "\n".join(
        [
            "from downslope import Member, NetworkSpec, TrainingSpec",
            f"from downslope.reconstruction import {'Corruption, ' * noisy}autoencode",
            "",
            "unit = Scaling.unit(data.training, data.white)",
            _call("network = NetworkSpec(", network),
            _call("settings = TrainingSpec(", training),
            f"coder = Member(network=network, training=settings, seed={recipe.seed})",
            _call(
                "coded = drain(autoencode(",
                ["coder", "unit.apply(data.training)", "data.test", "unit", *words],
                "))",
            ),
            "print(coded.result.test_mse, coded.result.pca_test_mse)",
        ]
    )
