"""The command that diagnoses any network at initialization."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from downslope.bars import watch
from downslope.checked import Seed
from downslope.cli.data import load_dataset
from downslope.cli.options import (
    KindOption,
    LabelOption,
    OutputOption,
    QuietOption,
    number,
    place,
)
from downslope.terminal import own_output, say, show

if TYPE_CHECKING:
    from downslope.theory import Diagnosis


def diagnose(
    module: Annotated[
        str, typer.Argument(metavar="FILE.py:NAME", help="Your function that makes the network.")
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="PATH", help="A data set's name or path.")
    ] = "fashion-mnist",
    label: LabelOption = None,
    kind: KindOption = None,
    output: OutputOption = None,
    networks: Annotated[int, number(int, "Initializations of the network.")] = 10,
    examples: Annotated[int, number(int, "Examples to measure on.")] = 256,
    seed: Annotated[int, number(Seed, "Of the initializations.")] = 541,
    out: Annotated[Path, place("DIR", "Where the page goes.")] = Path("diagnosis"),
    quiet: QuietOption = False,
) -> None:
    """Find the layer of your own network where signals or gradients die or explode.

    The theory of He initialization, checked: downslope theory.
    """
    from downslope.data import Encoding
    from downslope.networks import load_function
    from downslope.recipe import DataRecipe
    from downslope.report.diagnosis_page import write_diagnosis
    from downslope.runs import Run
    from downslope.theory import diagnose

    folder = Run(out)
    folder.check_name()
    with own_output():
        factory = load_function(module)
    dataset = load_dataset(data, quiet, label=label, kind=kind)
    encoding = Encoding.fit(dataset, center=DataRecipe().center)
    inputs = encoding.transform(dataset.training.inputs)
    steps = diagnose(
        factory,
        inputs,
        shape=inputs.shape[1:] if dataset.columns else dataset.shape,
        output=output,
        networks=networks,
        examples=examples,
        seed=seed,
    )
    with own_output():
        diagnosis = watch(steps, quiet)
    write_diagnosis(folder, diagnosis, module)
    page = folder.path / "diagnosis.html"
    if not quiet:
        _print_diagnosis(diagnosis)
    say(page if quiet else f"diagnosis: {page}")


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    rows: list[list[str]] = []
    for layer in diagnosis.layers:
        figures = (layer.size, layer.signal, layer.gradient, layer.gain, layer.proposed_gain)
        after = (layer.mended_signal, layer.mended_gradient)
        rows.append([layer.name, *(f"{value:.2g}" for value in (*figures, *after))])
    headings = ("size", "signal", "gradient", "gain", "proposed", "signal*", "gradient*")
    show(rows, "layer", *headings, right=True)
    say(
        f"Means over {diagnosis.networks} initializations and {diagnosis.examples} examples. "
        "size: mean square of a layer's outputs; signal: their variance over examples; gain: "
        "deviation of the weights times sqrt(fan in); *: new networks with the proposed gains, "
        "biases zero."
    )
    if diagnosis.caution:
        say(diagnosis.caution)
    for line in diagnosis.findings or ["signals and gradients keep their size in every layer"]:
        say(line)
    for line in diagnosis.mended:
        say(f"even with the proposed gains {line}")
