"""The documentation site names every page and every command."""

import re
import runpy
from pathlib import Path

import msgspec
import typer.main
import yaml

from downslope.checked import keys_of, rule
from downslope.cli import app
from downslope.recipe import Recipe
from downslope.search import Settings

ROOT = Path(__file__).parent.parent


def pages(entries: list) -> list[str]:
    found: list[str] = []
    for entry in entries:
        for value in entry.values():
            found += [value] if isinstance(value, str) else pages(value)
    return found


def test_every_page_is_in_the_navigation() -> None:
    named = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(named) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_the_python_reference_has_every_public_package() -> None:
    text = (ROOT / "docs/python.md").read_text("utf-8")
    named = set(re.findall(r"^::: downslope\.(\w+)$", text, re.M))
    packages = {path.parent.name for path in (ROOT / "src/downslope").glob("*/__init__.py")}
    assert named == (packages - {"cli"}) | {"bars", "showing"}


def hook(text: str) -> str:
    return runpy.run_path(str(ROOT / "docs/hooks.py"))["on_page_markdown"](text)


def test_every_key_of_a_recipe_has_its_row_with_default_bounds_and_meaning() -> None:
    written = hook((ROOT / "docs/recipes.md").read_text("utf-8"))
    for key, field in keys_of(Recipe):
        table, _, name = key.rpartition(".")
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            assert f"### `[{key}]`" in written
        elif not table.startswith("variants") or table == "variants.refit":
            heading = f"### `[{table}]`" if table else "## Keys"
            section = written.partition(heading)[2].partition("\n#")[0]
            like = re.search(r"Keys as in `\[(.*)\]`", section)
            if like:
                section = written.partition(f"### `[{like[1]}]`")[2].partition("\n#")[0]
            (row,) = re.findall(rf"^\| `{name}` \| (.*) \| (.*) \| (.*) \|$", section, re.M)
            assert row[1].replace("\\", "") == rule(field.type).one and len(row[2]) > 5, key
    for name in Settings.__struct_fields__:
        assert f"| `{name}` |" in written.partition("## Settings of a member")[2]


def test_typer_writes_every_command_of_the_reference() -> None:
    assert hook("nothing to do") == "nothing to do"
    written = hook("# Command line\n\n<!-- commands -->\n")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`downslope {name}`" in written
