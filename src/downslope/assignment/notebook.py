"""The hand-in as a notebook that runs from top to bottom and gives the run's numbers again."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from pprint import pformat
from typing import Any

from downslope.assignment.agreement import CODER, CONFIGURED
from downslope.assignment.catalogue import reference_source
from downslope.networks import Member
from downslope.report.blocks import (
    Block,
    Code,
    Columns,
    Document,
    Equation,
    Heading,
    Items,
    Paragraph,
    Table,
    Text,
    spans,
    words,
)
from downslope.results import Results

_STYLES = {
    "strong": "**{}**",
    "code": "`{}`",
    "sub": "<sub>{}</sub>",
    "sup": "<sup>{}</sup>",
    "": "{}",
}


def as_notebook(document: Document, results: Results) -> bytes:
    """Write a document as a notebook of format 4.5; after the code of a part, cells that run it."""
    cells: list[tuple[str, str]] = [
        ("markdown", f"# {document.title}\n\n{document.lead}"),
        ("code", _imports()),
        ("code", _DATA.format(name=results.recipe.data.name)),
    ]
    follows = dict(_runs(results))
    for section in document.sections:
        cells.append(("markdown", f"## {section.title}"))
        for block in section.blocks:
            kind = "code" if isinstance(block, Code) else "markdown"
            text = block.text if isinstance(block, Code) else "\n\n".join(_markdown(block))
            if text:
                cells.append((kind, text))
            here = [name for name in follows if kind == "code" and f"def {name}(" in text]
            cells += [("code", follows.pop(name)) for name in here]
    return json.dumps(
        {
            "cells": [_cell(i, kind, text) for i, (kind, text) in enumerate(cells)],
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1,
    ).encode()


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _imports() -> str:
    """Return the head of the reference: its imports and the names of its types."""
    source = reference_source()
    nodes = ast.parse(source).body[1:]
    first = next(n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef))
    lines = source.splitlines()[nodes[0].lineno - 1 : first.lineno - 1]
    kept = [line for line in lines if not line.startswith("#")]
    return "\n".join([*kept, "torch.set_num_threads(1)  # sums in the order of the run"]).strip()


_DATA = """if not Path("fashion_mnist_train_images.npy").exists():
    # The course hands out these files; without them, the same images come from downslope.
    from downslope.data import load

    dataset = load({name!r})
    parts = {{"train": dataset.training, "test": dataset.test.open("the hand-in's notebook")}}
    for part, examples in parts.items():
        images = examples.inputs.reshape(-1, *dataset.shape).astype(np.uint8)
        np.save(f"fashion_mnist_{{part}}_images.npy", images)
        np.save(f"fashion_mnist_{{part}}_labels.npy", examples.targets)"""


def _runs(results: Results) -> Iterator[tuple[str, str]]:
    """Yield, by the function after whose code it stands, what trains with the run's settings."""
    yield (
        "split_validation",
        (
            'train_data, test_data = load_fashion_mnist("train"), load_fashion_mnist("test")\n'
            "train_part, val_part = split_validation(train_data)"
        ),
    )
    refit, variants = results.refit, results.variants
    if refit is not None:
        widths = refit.member.network.widths
        sizes = f"{widths[0]}, {len(widths) - 2}, {widths[1]}, {widths[-1]}"
        per_epoch = results.recipe.landscape.snapshots_per_epoch
        watched = ", test_data" if refit.member.training.evaluation_draw else ", None"
        yield "final_training", "\n".join([
            f"config = {pformat(_configuration(refit.member), sort_dicts=False)}",
            f"torch.manual_seed({refit.member.seed})",
            f"model = build_mlp({sizes})",
            "losses, snapshots = final_training(",
            f"    [train_data], model, config{watched}, snapshots_per_epoch={per_epoch}",
            ")",
            "accuracy = evaluate(model, DataLoader(test_data, 256))",
            'print("loss of the last 20 epochs:", *(f"{loss:.4f}" for loss in losses[-20:]))',
            'print(f"test accuracy: {accuracy:.4f}")',
            "plt.plot(range(1, len(losses) + 1), losses)",
            'plt.xlabel("epoch"), plt.ylabel("training loss")',
            "plt.show()",
        ])  # fmt: skip
        yield (
            "plot_landscape",
            _LANDSCAPE.format(examples=results.recipe.landscape.examples, seed=results.recipe.seed),
        )
    if variants is not None and variants.refit is not None:
        member = variants.refit.member
        network = member.network
        sizes = f"{network.widths[0]}, {len(network.widths) - 2}, {network.widths[1]}"
        yield "build_enhanced_mlp", "\n".join([
            f"variant_config = {pformat(_configuration(member), sort_dicts=False)}",
            f"torch.manual_seed({member.seed})",
            "variant = build_enhanced_mlp(",
            f"    {sizes}, {network.widths[-1]}, {network.normalization == 'batch'}, "
            f"{network.dropout}, {network.activation!r}",
            ")",
            "variant_losses, _ = final_training([train_data], variant, variant_config)",
            "variant_accuracy = evaluate(variant, DataLoader(test_data, 256))",
            'print(f"test accuracy of the variant: {variant_accuracy:.4f}")',
        ])  # fmt: skip
    if results.autoencoder is not None and results.autoencoder.member.network.widths == CODER:
        member = results.autoencoder.member
        spec = member.training
        orthogonal = member.network.initialization == "orthogonal"
        seed = f"torch.manual_seed({member.seed})"
        start = [seed, "autoencoder = Autoencoder()"]
        if orthogonal:
            start = [start[1], seed, "start_orthogonal(autoencoder)"]
        yield "train_autoencoder", "\n".join([
            *start,
            f"train_loader, test_loader = prepare_data({spec.batch_size})",
            "autoencoder, autoencoder_losses = train_autoencoder(",
            f"    autoencoder, train_loader, epochs={spec.epochs}, lr={spec.learning_rate}, "
            f"one_cycle={spec.schedule == 'one_cycle'}",
            ")",
            'print("losses:", *(f"{loss:.5f}" for loss in autoencoder_losses))',
        ])  # fmt: skip
        yield "plot_reconstructions", "\n".join([
            "images = next(iter(test_loader))[0][:2]",
            "plot_reconstructions(autoencoder, images)",
            "plt.show()",
        ])  # fmt: skip


_LANDSCAPE = """generator = np.random.default_rng({seed})
rows = generator.permutation(len(train_data))[:{examples}]
surface_loader = DataLoader(torch.utils.data.Subset(train_data, rows.tolist()), 1024)
center, directions, path = pca_plane(snapshots)
low, high = path.min(axis=0), path.max(axis=0)
margin = 0.2 * (high - low)
xs, ys = (np.linspace(low[i] - margin[i], high[i] + margin[i], 25) for i in (0, 1))
criterion = nn.CrossEntropyLoss()
surface = loss_surface(model, surface_loader, criterion, center, directions, xs, ys)
heights = path_losses(model, surface_loader, criterion, snapshots)
plot_landscape(xs, ys, surface, path, heights)
plt.show()"""


def _configuration(member: Member) -> dict[str, Any]:
    training = member.training
    return {name: getattr(training, name) for name in CONFIGURED}


def listings_used(document: Document) -> list[str]:
    """Name the functions of the reference that a document prints."""
    text = "\n".join(block.text for block in document.blocks() if isinstance(block, Code))
    names = [
        n.name
        for n in ast.parse(reference_source()).body
        if isinstance(n, ast.FunctionDef | ast.ClassDef)
    ]
    return [name for name in names if re.search(rf"^(def|class) {name}\b", text, re.M)]


def _line(text: Text) -> str:
    return "".join(_STYLES[span.style].format(span.text) for span in spans(text))


def _markdown(block: Block) -> Iterator[str]:
    """Write a block as Markdown; what is drawn is drawn again by the code."""
    match block:
        case Heading(text):
            yield f"### {text}"
        case Paragraph(text, _):
            yield _line(text)
        case Equation(latex, between, second):
            yield f"$${latex}$$" + (f"\n\n{between}\n\n$${second}$$" if second else "")
        case Items(items, _):
            for item in items:
                yield f"**{words(item.title)}**"
                for inner in item.blocks:
                    yield from _markdown(inner)
        case Table(caption, columns, rows):
            yield f"*{caption}*"
            lines = [[column.heading for column in columns], ["---"] * len(columns)]
            lines += [[_line(cell) for cell in row.cells] for row in rows]
            yield "\n".join(f"| {' | '.join(_cells(line))} |" for line in lines)
        case Columns(columns, _):
            for column in columns:
                for inner in column:
                    yield from _markdown(inner)
        case _:
            return


def _cells(cells: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in cells]
