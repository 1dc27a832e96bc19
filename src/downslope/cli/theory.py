"""The command of the theory, and the diagnosis of any network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from downslope.cli.options import (
    AddressOption,
    DataOption,
    ExecutorOption,
    LabelOption,
    OutOption,
    QuietOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    ThreadsOption,
    refuse_idle,
)
from downslope.cli.recipes import changes_of, load_dataset, run_stages
from downslope.terminal import own_output, say, show
from downslope.watch import watch

if TYPE_CHECKING:
    from downslope.theory import Diagnosis


def theory(
    context: typer.Context,
    recipe: RecipeArgument = "fashion-mnist",
    module: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:FUNCTION", help="Diagnose the network that it makes."),
    ] = None,
    networks: Annotated[
        int, typer.Option(metavar="N", help="Initializations of that network.")
    ] = 10,
    data: DataOption = None,
    label: LabelOption = None,
    out: OutOption = None,
    changes: SetOption = None,
    seed: SeedOption = None,
    threads: ThreadsOption = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
) -> None:
    """Check the theory of He initialization, on paper and by measurement."""
    if module is None:
        refuse_idle(context, ("networks",), "without --module")
        run_stages(
            recipe, ["theory"], data, label, out, changes, seed, (threads, executor, address), quiet
        )
        return
    refuse_idle(context, ("threads", "executor", "address"), "beside --module")
    from downslope.data import Scaling
    from downslope.networks import load_factory
    from downslope.recipes import load_recipe
    from downslope.report.diagnosis_page import write_diagnosis
    from downslope.runs import Run
    from downslope.theory import diagnose

    folder = Run(out or Path("diagnosis"))
    folder.check_name()
    with own_output():
        factory = load_factory(module)
    chosen = load_recipe(recipe, changes_of(changes, data, label, seed))
    dataset = load_dataset(chosen.data.name, chosen.data.label, chosen.data.kind, quiet)
    scaling = Scaling.fit(dataset.training, dataset.white, chosen.data.center)
    steps = diagnose(
        factory,
        scaling.apply(dataset.training).inputs.astype("float32", copy=False),
        shape=dataset.shape,
        networks=networks,
        examples=chosen.theory.examples,
        seed=chosen.seed,
    )
    with own_output():
        found = watch(steps, quiet)
    write_diagnosis(folder, found, module)
    page = folder.path / "diagnosis.html"
    if not quiet:
        _print_diagnosis(found)
    say(page if quiet else f"diagnosis: {page}")


def _print_diagnosis(found: Diagnosis) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    for heading in ("size", "signal", "gradient", "gain", "proposed", "signal*", "gradient*"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.layers:
        figures = (one.size, one.signal, one.gradient, one.gain, one.proposed_gain)
        after = (one.mended_signal, one.mended_gradient)
        table.add_row(one.name, *[f"{value:.2g}" for value in (*figures, *after)])
    show(table)
    say(
        f"Means over {found.networks} initializations and {found.examples} examples. size: mean "
        "square of a layer's outputs; signal: their variance over examples; gain: deviation of "
        "the weights times sqrt(fan in); *: new networks with the proposed gains, biases zero."
    )
    if found.caution:
        say(found.caution)
    for line in found.findings or ["signals and gradients keep their size in every layer"]:
        say(line)
    for line in found.mended:
        say(f"even with the proposed gains {line}")
