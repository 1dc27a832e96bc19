"""Where the report says that its numbers and its code come from, they are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from downslope.recipes import STAGES, landscapes
from downslope.report.arrays import arrays
from downslope.report.blocks import Block, Code, Facts, Items, Table
from downslope.report.document import compose
from downslope.results import Results
from downslope.runs import Run


def blocks_of(run: Run, results: Results) -> list[Block]:
    return list(compose(results, run.read_manifest(), arrays(run, results)).blocks())


def has(value: Any, keys: Sequence[str]) -> bool:
    """Tell whether dotted keys lead to a value; in a list, any entry may have it."""
    if not keys:
        return True
    if isinstance(value, list):
        return any(has(one, keys) for one in value)
    return isinstance(value, dict) and keys[0] in value and has(value[keys[0]], keys[1:])


def test_every_stage_has_its_code(finished: Run, results: Results) -> None:
    blocks = blocks_of(finished, results)
    items = [item for block in blocks if isinstance(block, Items) for item in block.items]
    codes = {
        str(item.title).lower(): item.blocks[0].text
        for item in items
        if item.blocks and isinstance(item.blocks[0], Code)
    }
    assert list(codes) == list(STAGES)
    assert all("Steps[None]" in code for code in codes.values())
    assert inspect.getsource(landscapes.draw_landscapes).strip() in codes["landscape"]


def test_every_key_among_the_sources_is_in_the_results(finished: Run, results: Results) -> None:
    tables = [block for block in blocks_of(finished, results) if isinstance(block, Table)]
    (table,) = [table for table in tables if table.caption.startswith("Each number of this")]
    known = msgspec.to_builtins(results)
    places = ["".join(str(getattr(x, "text", x)) for x in row.cells[0]) for row in table.rows]
    keys = [
        key
        for place in places
        if place.startswith("results.json: ")
        for key in re.split("; | and |, ", place.partition(": ")[2])
        if "/" not in key
    ]
    assert len(keys) > 20
    assert [key for key in keys if not has(known, key.split("."))] == []


def test_the_classes_are_counted_on_training_and_validation_examples(
    finished: Run, results: Results
) -> None:
    facts = [block for block in blocks_of(finished, results) if isinstance(block, Facts)]
    text = str(dict(facts[0].rows)["Classes"])
    data = results.data
    counts = [int(count) for count in re.findall(r": (\d+)", text)]
    assert counts == data.class_counts and sum(counts) == data.training + data.validation
    assert text.endswith("(training and validation examples)")
