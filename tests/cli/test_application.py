"""The commands themselves: help, version, what they print and what their messages name."""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from downslope.__main__ import main
from downslope.cli.application import app, data_app


def test_module_and_command_are_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "downslope", "--help"], capture_output=True)
    assert done.returncode == 0
    assert b"autoencode" in done.stdout


def test_doctor_names_versions_hardware_and_engine(downslope) -> None:
    said = downslope("doctor")
    assert said.status == 0
    for word in ("torch", "processor", "cores", "engine", "data digits"):
        assert word in said.out


def test_data_commands(downslope) -> None:
    assert "digits" in downslope("data", "list").out
    said = downslope("data", "describe", "digits")
    assert "1,437 examples" in said.out and "360 examples, sealed" in said.out
    assert "as published" in downslope("data", "verify", "digits").out
    assert downslope("data", "fetch", "digits").status == 0


@pytest.mark.parametrize("arguments", [("-h",), ("--help",), (), ("run", "-h"), ("data",)])
def test_help_is_shown_with_status_0(downslope, arguments) -> None:
    said = downslope(*arguments)
    assert (said.status, said.err) == (0, "")
    assert "Usage: downslope" in said.out
    assert "[[" not in said.out and "{" not in said.out and "<bool>" not in said.out


def test_the_version_is_that_of_the_package(downslope) -> None:
    said = downslope("--version")
    assert (said.status, said.out) == (0, f"{metadata.version('downslope')}\n")


def test_hostile_names_reach_the_terminal_as_text(downslope, tmp_path: Path) -> None:
    name = "a\x1b]0;title\x07\u202e"
    line = downslope("verify", name).mistake()
    assert r"a\x1b]0;title\x07\u202e: holds no run" in line
    (tmp_path / "set.csv").write_text("x,label\n" + f"0,{name}\n1,other\n" * 30)
    said = downslope("data", "describe", "set.csv")
    assert said.status == 0, said.err
    assert r"a\x1b]0;title\x07\u202e: " in said.out
    assert not {"\x1b", "\x07", "\u202e"} & set(said.out)


def test_a_full_disk_behind_standard_output_is_one_line(
    downslope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (("data", "list"), ("--help",), ("run", "--help")):
        with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", full)
            line = downslope(*command).mistake()
        assert "standard output cannot be written (No space left on device)" in line


def test_a_reader_that_has_gone_is_status_141(downslope, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", closed)
        said = downslope("data", "list")
    assert (said.status, said.err) == (141, "")


def options_of(command: typer.models.CommandInfo) -> set[str]:
    named: set[str] = set()
    assert command.callback is not None
    for name, hint in get_type_hints(command.callback, include_extras=True).items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, typer.models.OptionInfo):
                # Within Annotated, Typer takes the first declaration for the default.
                declared = (info.default, *(info.param_decls or ()))
                own = {d for d in declared if isinstance(d, str) and d.startswith("--")}
                named |= own or {f"--{name.replace('_', '-')}"}
    return named


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Find the texts of a module's errors, the values in them left out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and "Error" in ast.unparse(node.func):
            texts = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant)]
            yield node.lineno, " ".join(text for text in texts if isinstance(text, str))


def test_a_message_names_an_option_only_where_the_command_has_it() -> None:
    """Outside of cli/ nobody knows which command it is, but for the option whose value is wrong."""
    commands = [*app.registered_commands, *data_app.registered_commands]
    by_module: dict[str, list[set[str]]] = {}
    by_name: dict[str, set[str]] = {}
    for command in commands:
        assert command.callback is not None
        by_module.setdefault(command.callback.__module__, []).append(options_of(command))
        by_name[command.name or command.callback.__name__] = options_of(command)
    source = Path(inspect.getfile(main)).parent
    for path in source.rglob("*.py"):
        module = ".".join(["downslope", *path.relative_to(source).with_suffix("").parts])
        for line, whole in messages(path):
            for name, option in re.findall(r"'downslope (\w+) (--[a-z]+)", whole):
                assert option in by_name[name], (path, line, name, option)
            text = re.sub(r"'downslope [^']*'", "", whole)
            for option in re.findall(r"(?<![\w-])--[a-z]+", text):
                of_value = text.lstrip("f'\"").startswith(option) and any(
                    option in options for each in by_module.values() for options in each
                )
                here = by_module.get(module, [])
                assert of_value or any(option in options for options in here), (path, line, option)


def test_a_message_names_only_commands_that_there_are() -> None:
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    names |= {"data"}
    for path in Path(inspect.getfile(main)).parent.rglob("*.py"):
        for line, text in messages(path):
            for name in re.findall(r"'downslope ([a-z]+)", text):
                assert name in names, (path, line, name)
