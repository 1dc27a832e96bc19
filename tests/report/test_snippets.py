import ast
from pathlib import Path

import msgspec
import pytest

from downslope.cli.options import parse_changes
from downslope.recipes import load_recipe
from downslope.report.snippets import snippets
from downslope.results import Results
from downslope.runs import Run


@pytest.mark.slow
def test_the_code_makes_the_numbers_of_the_run(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # trial stores are written where it runs
    results = finished.read_results()
    held: dict = {}
    for code in snippets(results).values():
        exec(code, held)
    assert results.theory and results.landscape and results.variants
    assert held["theory"].checks == results.theory.checks
    assert held["deep"] == results.theory.trainability
    assert held["choice"] == results.variants.search.choice
    assert held["trained"].result == results.refit
    assert held["retrained"].result == results.variants.refit
    assert held["drawn"].result.path == results.landscape.path
    assert held["drawn"].result.curvature == results.landscape.curvature
    assert held["coded"].result == results.autoencoder


def test_each_stage_is_about_ten_statements(results: Results) -> None:
    for stage, code in snippets(results).items():
        body = [n for n in ast.parse(code).body if not isinstance(n, ast.Import | ast.ImportFrom)]
        assert 1 <= len(body) <= 10, stage
        assert all(len(line) <= 90 for line in code.splitlines()), stage


SETTINGS = [
    "search.choice={top=2, second=0.5}",
    "search.choice={top=2, folds=3}",
    "search.choice.top=1",
    "search.halving.method=hyperband",
    "search.sampler=tpe",
    "search.constraints=['units >= 40']",
    "refit.choice={units=40}",
    "landscape.start=false",
    "autoencoder.noise={kind='masking', amount=0.2}",
    "theory.trainability.depths=[]",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_other_recipes_give_code_that_compiles(results: Results, setting: str) -> None:
    results.recipe = load_recipe("quick", parse_changes([setting]))
    code = "\n".join(snippets(results).values())
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    made = {
        alias.asname or alias.name
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    stored = {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    builtin = {"len", "min", "max", "print", "next", "round"}
    known = {"np"} if "import numpy as np" in code else set()
    assert names <= made | stored | builtin | known | {"t", "k", "v"}


def test_text_from_data_stays_text(results: Results) -> None:
    data = msgspec.structs.replace(results.recipe.data, name="'); import os; os.abort()  # \"")
    results.recipe = msgspec.structs.replace(results.recipe, data=data)
    tree = ast.parse(snippets(results)["data"])
    assert len(tree.body) == 9
    assert any(isinstance(n, ast.Constant) and n.value == data.name for n in ast.walk(tree))
