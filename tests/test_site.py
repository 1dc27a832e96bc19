"""The documentation site names every page and every command."""

import re
from pathlib import Path

import typer.main
import yaml

from downslope.cli import app

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
    assert named == packages - {"cli"}


def test_typer_writes_every_command_of_the_reference() -> None:
    import runpy

    hook = runpy.run_path(str(ROOT / "docs/hooks.py"))["on_page_markdown"]
    assert hook("nothing to do") == "nothing to do"
    written = hook("# Command line\n\n<!-- commands -->\n")
    for name in typer.main.get_command(app).commands:  # type: ignore[attr-defined]
        assert f"`downslope {name}`" in written
