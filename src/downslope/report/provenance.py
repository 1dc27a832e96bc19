"""The last sections: where a run comes from and how to repeat it, its data, and its code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import cast

from downslope.recipes import STAGES, stages
from downslope.report.blocks import (
    Block,
    Cards,
    Code,
    Column,
    Details,
    Facts,
    Figures,
    Heading,
    Interactive,
    Item,
    Items,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    code,
    walk,
)
from downslope.report.display import Source
from downslope.report.formats import capitalized, duration
from downslope.results import Results
from downslope.runs import Manifest
from downslope.toml import write_toml


def provenance(results: Results, manifest: Manifest | None, shown: Sequence[Block]) -> Section:
    """Say what the data were, how to repeat the run, and the sources of what is shown."""
    blocks = [
        *_blocks(results, manifest),
        Details("Code of the stages", _code(results)),
        Details("Sources of the numbers", [_sources(shown)]),
    ]
    return Section("provenance", "Provenance", blocks)


def _blocks(results: Results, manifest: Manifest | None) -> Iterator[Block]:
    yield Heading("Data")
    yield Facts(list(_data(results)))
    yield Heading("How to reproduce the run")
    if manifest is not None:
        yield Code(manifest.command, "console")
        where = ["in the directory of this run, where ", code("recipe.toml")]
        yield Paragraph([*where, " is the recipe below."], "small")
    yield Facts(list(_made_with(results, manifest)))
    yield Heading("Openings of the held-out test set")
    if results.test_set.openings:
        yield Items([Item(opening.reason) for opening in results.test_set.openings])
    else:
        yield Paragraph("The test set was never opened.")
    yield Details("Recipe", [Code(write_toml(results.recipe).strip(), "toml")])
    files = {} if manifest is None else manifest.files
    rows = [
        Row([name, [code(digest)]])
        for name, digest in files.items()
        if not name.startswith(("report.", "figures/"))  # a page cannot hold its own digest
    ]
    if rows:
        columns = [Column("file", False), Column("SHA-256", False)]
        yield Details("Files and their SHA-256", [Table("Files of this run", columns, rows)])


def _data(results: Results) -> Iterator[tuple[str, Text]]:
    data = results.data
    yield "Data set", f"{data.name}, from {data.source}"
    counts = f"{data.training:,} training, {data.validation:,} validation, {data.test:,} test"
    yield "Examples", counts
    yield "One example", f"{' × '.join(map(str, data.shape))} values; {data.scaling}"
    if results.refit is not None and results.refit.encoding is not None:
        inputs = results.refit.member.network.widths[0]
        yield "Final model's inputs", f"{inputs:,}, numbers in {results.refit.encoding} encoding"
    if data.notes:
        yield "Read as", "; ".join(data.notes)
    if data.class_names:
        pairs = zip(data.class_names, data.class_counts, strict=False)
        counts = ", ".join(f"{name}: {count:,}" for name, count in pairs)
        yield "Classes", f"{counts} (training and validation examples)"
    yield "SHA-256", [code(data.sha256)]


def _made_with(results: Results, manifest: Manifest | None) -> Iterator[tuple[str, Text]]:
    trained = {
        "final model": results.refit,
        "variant": results.variants and results.variants.refit,
        "autoencoder": results.autoencoder,
    }
    seeds = [f"{name} {', '.join(map(str, one.seeds))}" for name, one in trained.items() if one]
    yield "Seed", "; ".join([str(results.recipe.seed), *seeds])
    if manifest is not None:
        named = (manifest.versions, manifest.hardware)
        versions, hardware = (", ".join(f"{k} {v}" for k, v in x.items()) for x in named)
        yield "Versions", versions
        yield "Hardware", hardware
    times = [f"{stage} {duration(seconds)}" for stage, seconds in results.seconds.items()]
    yield "Wall time", ", ".join(times) or "no stage finished"
    yield "Schema", results.schema


def _sources(blocks: Sequence[Block]) -> Table:
    """List where the numbers of blocks come from."""
    sources: list[Source | None] = []
    for block in walk(blocks):
        match block:
            case Figures(parts) | Cards(parts):
                sources += [part.source for part in parts]
            case Interactive():
                sources += [display.source for display in block.displays]
            case Table():
                sources.append(block.source)
            case _:
                pass
    return Table(
        "Each number of this report stands in a file of the run, or was computed from one",
        [Column("file and key", False), Column("how it was computed", False)],
        [Row([[code(source.place)], source.how]) for source in dict.fromkeys(sources) if source],
    )


def _code(results: Results) -> list[Block]:
    """Print the functions that ran the stages, from their own source."""
    files = (code("recipes/stages.py"), " and ", code("recipes/landscapes.py"), ".")
    text = "The functions of the stages, as downslope has them when this report is made: "
    items: list[Item] = []
    shown: set[FunctionType] = set()
    for stage in STAGES:
        if getattr(results, stage) is not None:
            functions = [function for function in _functions(stage) if function not in shown]
            shown.update(functions)
            source = "\n\n".join(map(inspect.getsource, functions))
            items.append(Item(capitalized(stage), [Code(source.strip(), "python")]))
    return [Paragraph([text, *files]), Items(items, numbered=False)]


def _functions(stage: str) -> list[FunctionType]:
    """Return the function of a stage and those of its module that it calls, callers first."""
    functions = [cast("FunctionType", stages.FUNCTIONS[stage])]
    for function in functions:  # grows while it is read
        for name in function.__code__.co_names:
            called = function.__globals__.get(name)
            same = getattr(called, "__module__", None) == function.__module__
            if isinstance(called, FunctionType) and same and called not in functions:
                functions.append(called)
    return functions
