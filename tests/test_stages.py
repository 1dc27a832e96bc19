"""The stages stand in one list: whoever needs their names or titles reads them there."""

import ast
from pathlib import Path

import msgspec

import downslope
from downslope.recipe import Recipe
from downslope.recipes.context import built_on
from downslope.results import Results
from downslope.stages import STAGES

SOURCE = Path(downslope.__file__).parent


def test_every_stage_has_its_place_in_the_results() -> None:
    fields = [field.name for field in msgspec.structs.fields(Results)]
    assert [name for name in fields if name in STAGES] == list(STAGES)


def test_a_stage_builds_on_earlier_ones() -> None:
    names = list(STAGES)
    for i, name in enumerate(names):
        assert set(STAGES[name].needs) <= set(names[:i])
        assert built_on(name, Recipe()) <= set(names[: i + 1])


def test_no_second_list_of_the_stages() -> None:
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                words = {e.value for e in node.elts if isinstance(e, ast.Constant)}
                assert len(words & set(STAGES)) < 5, f"{path}:{node.lineno}"
