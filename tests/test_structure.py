"""The shape of the source: which way imports point, what is public, what --help costs."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import downslope

SOURCE = Path(downslope.__file__).parent

# The design's flow, left to right; a package may import only what stands in an earlier row.
FLOW = [
    {"errors", "progress", "_native"},
    {"checked", "stages", "terminal", "toml"},
    {"files", "showing", "statistics"},
    {"data"},
    {"networks"},
    {"engines"},
    {"models"},
    {"theory", "search", "landscape", "autoencoders"},
    {"recipe"},
    {"results"},
    {"runs"},
    {"recipes"},
    {"report"},
    {"assignment", "studies", "bars"},
    {"cli", "estimators"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(FLOW) for name in names}


def imports_of(source: str) -> set[str]:
    """Name every downslope part that a module imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            if node.module == "downslope":
                found |= {alias.name for alias in node.names}
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("downslope.")}
    return found


def violations(part: str, source: str) -> list[str]:
    return sorted(
        other for other in imports_of(source) if other != part and RANK[other] >= RANK[part]
    )


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.relative_to(SOURCE).as_posix()
)
def test_imports_point_only_to_the_right(path: Path) -> None:
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part == "__init__":
        return  # the public names come from everywhere
    assert violations(part, path.read_text("utf-8")) == []


ANALYSES = {"theory", "search", "landscape", "autoencoders"}


def test_the_analyses_stand_side_by_side_right_of_the_engines() -> None:
    assert ANALYSES in FLOW
    shared = set().union(*FLOW[: FLOW.index(ANALYSES)])
    for part in ANALYSES:
        for path in (SOURCE / part).rglob("*.py"):
            assert imports_of(path.read_text("utf-8")) <= {*shared, part}, path
    right = set().union(*FLOW[FLOW.index(ANALYSES) + 1 :])
    assert {"recipe", "results", "runs", "recipes", "report", "cli", "estimators"} <= right


@pytest.mark.parametrize(
    ("part", "source", "wrong"),
    [
        ("networks", "from downslope.engines import train", ["engines"]),
        ("search", "def f():\n    import downslope.landscape.planes", ["landscape"]),
        ("theory", "from downslope.search.settings import Settings", ["search"]),
        ("landscape", "from downslope.recipe import Recipe", ["recipe"]),
        ("results", "from downslope.recipe import Recipe", []),
        ("data", "from downslope import runs", ["runs"]),
        ("report", "from downslope.runs import Run", []),
    ],
)
def test_the_import_check_sees_a_violation(part: str, source: str, wrong: list[str]) -> None:
    assert violations(part, source) == wrong


def test_one_place_imports_by_name_what_stands_to_its_right() -> None:
    """The check above does not see an import by a string: the package and `showing` alone do it."""
    by_name = re.compile(r"import_module\(\s*f?[\"']downslope|__import__\(")
    users = {
        path.relative_to(SOURCE).as_posix(): by_name.findall(path.read_text("utf-8"))
        for path in SOURCE.rglob("*.py")
    }
    assert {path: len(calls) for path, calls in users.items() if calls} == {
        "__init__.py": 1,
        "showing.py": 1,
    }


def test_report_reads_results_never_models() -> None:
    for path in (SOURCE / "report").rglob("*.py"):
        assert not imports_of(path.read_text("utf-8")) & {"networks", "engines"}, path
        assert not re.search(r"^\s*import torch", path.read_text("utf-8"), re.M), path


PACKAGES = ["downslope"] + [
    f"downslope.{m.name}" for m in pkgutil.iter_modules([str(SOURCE)]) if m.ispkg
]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    names = module.__all__
    # ruff's order: constants, then classes, then functions, each sorted.
    assert len(set(names)) == len(names)
    for public in names:
        assert getattr(module, public) is not None
    defined = {
        node.name
        for node in ast.parse(Path(str(module.__file__)).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("__")
    }
    assert defined == set(), "an __init__.py only re-exports"


def test_every_public_name_is_listed() -> None:
    for name in PACKAGES[1:]:
        module = importlib.import_module(name)
        tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
        imported = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert imported == set(module.__all__), name


def test_help_imports_no_torch() -> None:
    program = (
        "import sys; sys.argv = ['downslope', '--help']\n"
        "from downslope.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "landscape" in done.stdout


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        downslope.trian  # noqa: B018 - the access is the test
    assert "train" in dir(downslope)
