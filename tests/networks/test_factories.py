import sys
from pathlib import Path

import pytest
from torch import nn

from downslope.__main__ import _received, _stop  # pyright: ignore[reportPrivateUsage]
from downslope.errors import InputError
from downslope.networks import load_function, make_module


def test_a_factory_is_loaded_with_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("WIDTH = 7\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom beside import WIDTH\n"
        "def deep():\n    return nn.Linear(WIDTH, 2)\n"
    )
    before = list(sys.path)
    module = load_function(f"{file}:deep")()
    assert isinstance(module, nn.Linear) and module.in_features == 7
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "reference", "words"),
    [
        ("", "mine.py", "write FILE.py:function"),
        ("", "mine.py:", "write FILE.py:function"),
        ("", "other.py:deep", "no file other.py"),
        ("", "mine.py:deep", "no function 'deep'"),
        ("deep = 3", "mine.py:deep", "no function 'deep'"),
        ("def deep(:", "mine.py:deep", "fails with SyntaxError"),
        ("import nothing_of_this_name", "mine.py:deep", "fails with ModuleNotFoundError"),
    ],
)
def test_mistakes_get_one_line(
    text: str, reference: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(text)
    with pytest.raises(InputError, match=words) as refusal:
        load_function(reference)
    assert "\n" not in str(refusal.value)


def test_a_file_is_a_module_as_when_it_is_imported(tmp_path: Path) -> None:
    """A dataclass with postponed annotations looks its module up; a function may import late."""
    (tmp_path / "late.py").write_text("WIDTH = 5\n")
    file = tmp_path / "typed.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\nfrom torch import nn\n"
        "@dataclass\nclass Size:\n    units: int = 3\n"
        "def make():\n    from late import WIDTH\n    return nn.Linear(WIDTH, Size().units)\n"
    )
    module = make_module(load_function(f"{file}:make"), seed=1)
    assert isinstance(module, nn.Linear) and (module.in_features, module.out_features) == (5, 3)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "    sys.exit(0)",
            r"ends the program by sys.exit\(0\) \(own.py, line 3\); it must return",
        ),
        ("    argparse.ArgumentParser().error('no')", r"sys.exit\(2\) \(own.py, line 3\)"),
        ("    {}['width']", r"fails with KeyError: 'width' \(own.py, line 3\)"),
        ("    torch.zeros(2) @ torch.zeros(3)", r"fails with RuntimeError: .* \(own.py, line 3\)"),
        ("    raise MemoryError", r"fails with MemoryError \(own.py, line 3\)"),
        ("    return 3", "returns int, not an nn.Module"),
    ],
)
def test_what_a_factory_does_is_one_line_with_its_place(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(f"import argparse, sys, torch\ndef make():\n{body}\n")
    with pytest.raises(InputError, match=words) as refusal:
        make_module(load_function("own.py:make"), seed=0)
    assert "\n" not in str(refusal.value)
    Path("whole.py").write_text(f"import argparse, sys, torch\nif True:\n{body}\n")
    if "return" not in body:
        with pytest.raises(InputError, match=words.replace("own", "whole")):
            load_function("whole.py:make")


def test_an_interrupt_and_a_signal_pass() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    def stopped() -> None:
        _stop(15, None)

    with pytest.raises(KeyboardInterrupt):
        make_module(interrupted, seed=0)
    with pytest.raises(SystemExit) as end:
        make_module(stopped, seed=0)
    assert end.value.code == 143
    _received.clear()
