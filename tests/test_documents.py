"""What the documents say is true: blocks run, commands and files exist, examples work."""

import re
import runpy
import tomllib
from pathlib import Path

import msgspec
import pytest
import typer.main
import yaml

from downslope.cli import app
from downslope.recipes import parse_recipe
from downslope.results import Results

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks/README.md"]
)


def blocks(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [
        (path.name, text) for path in DOCUMENTS for text in fence.findall(path.read_text("utf-8"))
    ]


def python_blocks() -> list[tuple[str, str, str | None]]:
    """List each block with its output, where the document shows it: "prints ..., then a block."""
    fence = re.compile(
        r"^```python\n(.*?)^```(?:\n\nprints[^\n]*\n\n```text\n(.*?)^```)?",
        re.DOTALL | re.MULTILINE,
    )
    return [
        (path.name, code, output or None)
        for path in DOCUMENTS
        for code, output in fence.findall(path.read_text("utf-8"))
    ]


@pytest.mark.parametrize(("name", "code", "output"), python_blocks())
def test_python_blocks_run_and_print_what_is_shown(
    name: str,
    code: str,
    output: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In this process, as a new interpreter would spend most of its time on importing torch.
    monkeypatch.chdir(tmp_path)
    exec(compile(code, name, "exec"), {"__name__": "__main__"})
    assert output is None or capsys.readouterr().out == output


@pytest.mark.parametrize(("name", "text"), blocks("toml"))
def test_toml_blocks_are_recipes(name: str, text: str) -> None:
    parse_recipe(tomllib.loads(text), name)


def test_there_are_blocks_to_check() -> None:
    assert any(output for *_, output in python_blocks()) and blocks("toml") and blocks("console")


def commands() -> list[str]:
    lines = [line for _, text in blocks("console") for line in text.splitlines()]
    return [line.split("#")[0].strip() for line in lines if line.startswith("downslope ")]


@pytest.mark.parametrize("command", commands())
def test_commands_and_options_exist(command: str) -> None:
    words = command.split()[1:]
    found = typer.main.get_command(app)
    while words and hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def test_make_targets_exist() -> None:
    for path in DOCUMENTS:
        for target in re.findall(
            r"\bmake ([a-z][a-z-]*)\b",
            "\n".join(re.findall(r"`[^`]*`|^make .*", path.read_text("utf-8"), re.M)),
        ):
            assert target in TARGETS, f"{path.name}: make {target}"


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_call_targets_that_exist(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"].values()
    commands = [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]
    called = re.findall(r"^make (\S+)", "\n".join(commands), re.M)
    assert set(called) <= TARGETS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if "://" not in link:
            assert (path.parent / link).exists(), link


def test_every_fault_has_a_test_that_exists() -> None:
    tests = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    rows = re.findall(
        r"`(test_\w+\.py)::(test_\w+)` \|$", (ROOT / "docs/faults.md").read_text(), re.M
    )
    assert len(rows) > 20
    for file, name in rows:
        assert f"def {name}(" in tests[file], f"{file}::{name}"


def test_architecture_names_every_part() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    for path in (ROOT / "src" / "downslope").iterdir():
        if path.name.startswith("_") or path.name == "py.typed":
            continue
        name = f"`src/downslope/{path.name}{'/' if path.is_dir() else ''}`"
        assert name in text, f"ARCHITECTURE.md does not say what {name} is"


def test_results_are_documented_key_by_key() -> None:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    for field in msgspec.structs.fields(Results):
        assert f"`{field.name}`" in text, field.name


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
