"""The document to hand in: a run's results, and the code, in the assignment's own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from downslope.assignment.agreement import agreement
from downslope.assignment.catalogue import code_of, printed
from downslope.assignment.notebook import as_notebook
from downslope.errors import InputError
from downslope.files import write_whole
from downslope.recipe import SearchRecipe
from downslope.report import statements
from downslope.report.arrays import Arrays, arrays
from downslope.report.autoencoder import TrainingError, final_training
from downslope.report.blocks import (
    Block,
    Code,
    Column,
    Columns,
    Document,
    Equation,
    Figures,
    Heading,
    Item,
    Items,
    Paragraph,
    Row,
    Section,
    Table,
    prose,
)
from downslope.report.display import Display, draw_all
from downslope.report.formats import number, percent, plural
from downslope.report.html import render_page
from downslope.report.reconstructions import Pairs
from downslope.report.refit import Losses, Minibatches, epoch_table, minibatch_table
from downslope.report.terrain import Contour, Surface
from downslope.report.trials import trial_table, word
from downslope.report.typst import Paper, compile_source, render_source
from downslope.report.variants import VariantScores
from downslope.results import Results
from downslope.runs import Run
from downslope.search import Range, SearchResult

FORMATS = ("pdf", "html", "ipynb")
TOP = 10
"""Trials of a search that are shown."""


def write_handin(
    run: Run,
    folder: Path,
    authors: Sequence[str],
    course: str = "",
    formats: Sequence[str] = FORMATS,
    paper: Paper = "a4",
) -> list[Path]:
    """Write the hand-in of a run and return the paths of its files.

    Args:
        run: its directory; nothing in it is changed.
        folder: where the files go.
        authors: their names, as they shall stand on it.
        course: its name, and what else belongs into the head.
        formats: some of "pdf", "html", "ipynb".
        paper: the size of the PDF's pages.

    Raises:
        InputError: the name of an author is missing; the directory holds no run; the folder cannot
            be written.
    """
    if not authors or not all(name.strip() for name in authors):
        raise InputError('--author "": the name of an author is missing; write "Your Name" there')
    results = run.read_results()
    manifest = run.read_manifest()
    engine = "" if manifest is None else manifest.engine
    document = compose_handin(results, arrays(run, results), authors, course, engine)
    contents: dict[str, bytes] = {}
    drawings = draw_all(document.displays())
    if "pdf" in formats:
        source = render_source(document, drawings, paper, handin=True)
        contents["pdf"] = compile_source(source, drawings)
    if "html" in formats:
        contents["html"] = render_page(document, drawings).encode()
    if "ipynb" in formats:
        contents["ipynb"] = as_notebook(document, results)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    paths = [folder / f"handin.{kind}" for kind in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_whole(path, content)
    return paths


def compose_handin(
    results: Results, arrays: Arrays, authors: Sequence[str], course: str = "", engine: str = ""
) -> Document:
    """Put the hand-in together, its problems numbered as the assignment numbers them."""
    sections = [
        Section("problem-1", "Problem 1: initialization", list(_theory(results))),
        Section("problem-2", "Problem 2: classification", list(_classifier(results, engine))),
        Section("problem-3", "Problem 3: the loss landscape", list(_landscape(results, arrays))),
        Section("problem-4", "Problem 4: an autoencoder", list(_autoencoder(results, arrays))),
    ]
    lead = " · ".join(part for part in (course, ", ".join(authors)) if part)
    return Document(results.recipe.title or "Homework", lead, [], sections)


def _absent(stage: str) -> Paragraph:
    text = f"This part is missing: the run has no {stage} stage; downslope run --stages {stage}."
    return Paragraph(text, "warning")


def _listing(*names: str) -> list[Block]:
    """Print functions, each in a block of its own, which stays on one page."""
    return [Code(printed(code_of(name)).strip(), "python") for name in names]


def _theory(results: Results) -> Iterator[Block]:
    if results.theory is None:
        yield _absent("theory")
        return
    steps = {step.name: step for step in results.theory.steps}

    def said(name: str) -> list[Block]:
        step = steps[name]
        return [Equation(step.statement), Paragraph(prose(step.justification))]

    yield Heading("1.1 Assumptions behind the variance of the sum")
    yield from said("sum")
    yield Paragraph(f"Assumed: {', '.join(steps['sum'].assumptions)}.")
    yield Heading("1.2 The variance of one product")
    yield Paragraph(prose("Start from the first given identity with A = w and B = x:"))
    yield Equation(_IDENTITY)
    yield Paragraph(prose("The mean of the weights is zero, E[w] = 0, so the last term vanishes:"))
    yield Equation(r"\mathrm{Var}[w x] = \mathrm{Var}[w]\,\mathrm{Var}[x]"
                   r" + \mathrm{Var}[w]\,\mathrm{E}[x]^2"
                   r" = \mathrm{Var}[w]\,(\mathrm{Var}[x] + \mathrm{E}[x]^2)")  # fmt: skip
    yield Paragraph(prose("The second identity, solved for E[x^2], replaces the bracket:"))
    yield Equation(r"\mathrm{Var}[x] = \mathrm{E}[x^2] - \mathrm{E}[x]^2",
                   "hence", r"\mathrm{Var}[w x] = \mathrm{Var}[w]\,\mathrm{E}[x^2]")  # fmt: skip
    yield Heading("1.3 From layer to layer through ReLU")
    yield Items(
        [
            Item("(a) The mean of z does not depend on x", said("mean")),
            Item("(b) The density of z when x is a constant", said("density")),
            Item("(c) It is symmetric", said("symmetry")),
            Item("(d) The variance as an integral over z > 0", said("half")),
            Item(
                "(e) The second moment of the next input, by cases",
                [
                    Equation(
                        r"\mathrm{E}[x_{l}^2] = \int_{-\infty}^{0} 0^2 f(z)\, dz"
                        r" + \int_{0}^{\infty} z^2 f(z)\, dz = \frac{1}{2}\,\mathrm{Var}[z_{l-1}]",
                        "hence",
                        r"\mathrm{Var}[z_{l-1}] = 2\,\mathrm{E}[x_{l}^2]",
                    ),
                    Paragraph(prose(steps["relu"].justification)),
                ],
            ),
        ],
        numbered=False,
    )
    yield Paragraph("Put together, the variance of the weights follows:")
    yield from said("forward")


_IDENTITY = (
    r"\mathrm{Var}[w x] = \mathrm{Var}[w]\,\mathrm{Var}[x]"
    r" + \mathrm{Var}[w]\,\mathrm{E}[x]^2 + \mathrm{Var}[x]\,\mathrm{E}[w]^2"
)


def _classifier(results: Results, engine: str) -> Iterator[Block]:
    yield Paragraph(" ".join(agreement(results, engine)), "small")
    yield Heading("2.1 The network and its parameters")
    yield from _listing(
        "load_fashion_mnist",
        "split_validation",
        "build_mlp",
        "extract_model_params",
        "load_params_into_model",
    )
    yield Heading("2.2 Search for hyperparameters")
    yield from _listing(
        "train_epoch", "evaluate", "compute_loss", "make_optimizer", "hyperparam_tuning"
    )
    if results.search is None:
        yield _absent("search")
    else:
        yield Paragraph(f"{_space(results.recipe.search)} {statements.searched(results.search)}")
        yield _best_trials(results.search, "search")
        if results.search.chosen is not None:
            yield _configuration(results.search.chosen)
    yield Heading("2.3 Final training and test accuracy")
    yield from _listing("schedule_one_cycle", "final_training")
    refit = results.refit
    if refit is None:
        yield _absent("refit")
    else:
        yield Paragraph(statements.final(results, "search"))
        displays: list[Display] = [Losses(refit)]
        if any(one.train_loss is not None for one in refit.last_minibatches):
            displays.append(Minibatches(refit))
        yield Figures(displays)
        yield Columns([[epoch_table(refit)], [minibatch_table(refit)]], on_paper=True)
    yield Heading("2.4 Batch norm, dropout, other activations")
    yield from _listing("build_enhanced_mlp")
    variants = results.variants
    if variants is None:
        yield _absent("variants")
        return
    yield Paragraph(f"{_space(results.recipe.variants)} {statements.searched(variants.search)}")
    yield _best_trials(variants.search, "variants")
    if variants.refit is not None:
        yield Paragraph(statements.final(results, "variants"))
        if variants.comparison is not None:
            verdict = statements.verdict(variants.comparison)
            yield Paragraph(f"Against the plain network: {verdict}.")
        if variants.refit.test_accuracy is not None:
            baseline = {} if refit is None else {"baseline": refit}
            yield Figures([VariantScores({**baseline, "chosen variant": variants.refit})])


def _space(recipe: SearchRecipe) -> str:
    """Say from which values a run drew its trials, and whether it stopped weak ones early."""
    if not recipe.space:
        return "All trials of the run have the same settings."
    several: list[str] = []
    for name, values in recipe.space.items():
        if isinstance(values, Range):
            scale = " on a logarithmic scale" if values.log else ""
            several.append(f"{word(name)} {values.low:g} to {values.high:g}{scale}")
        else:
            several.append(f"{word(name)} {', '.join(map(str, values))}")
    drawn = _DRAWN.get(recipe.sampler, f"by {recipe.sampler.replace('_', '-')} sampling")
    text = f"The run drew its trials {drawn} from {'; '.join(several)}"
    if recipe.conditions or recipe.constraints:
        text += "; some only under conditions of the recipe"
    early = recipe.halving.method != "none"
    return f"{text}; weak trials were stopped early." if early else f"{text}."


_DRAWN = {
    "random": "at random",
    "published": "at random, in the order of the published code,",
    "tpe": "by TPE",
}


def _best_trials(search: SearchResult, part: Any) -> Table:
    table = trial_table(search, part)
    caption = f"The best {min(TOP, len(table.rows))} of {len(table.rows)} trials"
    return table._replace(rows=table.rows[:TOP], caption=caption, sortable=False, tall=False)


def _configuration(trial: Any) -> Table:
    """Tabulate every setting of the trial that was chosen."""
    settings: dict[str, Any] = msgspec.structs.asdict(trial.settings)
    rows = [Row([name.replace("_", " "), str(value)]) for name, value in settings.items()]
    half = (len(rows) + 1) // 2
    pairs = [
        Row([*left.cells, *(right.cells if right else ("", ""))])
        for left, right in zip(rows[:half], [*rows[half:], None], strict=False)
    ]
    accuracy = percent(trial.validation_accuracy)
    caption = f"The best configuration, complete; its validation accuracy is {accuracy}"
    heads = [Column(name, False) for name in ("setting", "value", "setting ", "value ")]
    return Table(caption, heads, pairs)


def _landscape(results: Results, arrays: Arrays) -> Iterator[Block]:
    yield from _listing("pca_plane", "loss_surface", "path_losses", "plot_landscape")
    if results.landscape is None or arrays.surface is None:
        yield _absent("landscape")
        return
    result = results.landscape
    yield Figures([Surface(result, arrays.surface), Contour(result, arrays.surface)])


def _coder_functions(results: Results) -> Iterator[str]:
    coder = results.autoencoder
    if coder is not None and coder.member.network.initialization == "orthogonal":
        yield "start_orthogonal"
    yield "train_autoencoder"


def _autoencoder(results: Results, arrays: Arrays) -> Iterator[Block]:
    yield Heading("4.1 The data")
    yield from _listing("prepare_data")
    yield Heading("4.2 The model")
    yield from _listing("Autoencoder")
    yield Heading("4.3 Training")
    yield from _listing(*_coder_functions(results))
    result, images = results.autoencoder, arrays.images
    if result is None:
        yield _absent("autoencoder")
        return
    yield Paragraph(
        f"{result.member.network.label}, {result.parameters:,} parameters. After "
        f"{plural(len(result.epochs), 'epoch')} the mean squared error is {final_training(result)} "
        f"in training and {number(result.test_mse)} on the test set "
        f"(mean of {plural(len(result.seeds), 'seed')})."
    )
    yield Figures([TrainingError(result)])
    yield Heading("4.4 Two test images and their reconstructions")
    yield from _listing("plot_reconstructions")
    if images is not None and len(images["labels"]):
        yield Figures([Pairs(images, results.data.shape, results.data.class_names)])
