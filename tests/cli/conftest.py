"""Commands in this process, in an empty folder that holds a small recipe."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from downslope.__main__ import main

# Small enough for seconds, with every stage in it.
TINY = """
title = "tiny"
[data]
name = "digits"
[theory]
depth = 3
width = 32
repetitions = 4
examples = 32
[theory.trainability]
depths = [2]
map_depths = [2]
weight_variances = [2.0]
width = 8
epochs = 1
examples = 32
[search]
trials = 2
[search.space]
units = [8, 16]
epochs = [2]
[refit]
seeds = 2
epochs = 3
[variants]
trials = 2
[variants.space]
normalization = ["batch", "none"]
epochs = [2]
[variants.refit]
seeds = 2
[landscape]
grid = [5, 4]
examples = 50
[autoencoder]
hidden = [12, 4, 12]
[autoencoder.training]
optimizer = "adam"
learning_rate = 0.01
epochs = 2
"""


@dataclass
class Said:
    """What a command printed, and its status."""

    status: int
    out: str
    err: str

    def mistake(self) -> str:
        """Check that a mistake was answered as the design wants, and return its only line."""
        assert self.status == 2, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("downslope: "), self.err
        return lines[0]


def call(*arguments: str) -> int:
    """Run a command in this process; return its status and leave its handlers of signals out."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["downslope", *arguments])
        main()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return int(end.value.code or 0)


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


@pytest.fixture
def downslope(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], recipe_file: Path
) -> Callable[..., Said]:
    monkeypatch.chdir(recipe_file.parent)

    def run(*arguments: str) -> Said:
        status = call(*arguments)
        return Said(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def search_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the recipe's search. Only read it; take `searched` to change it."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call("search", "tiny.toml", "--out", "out", "--quiet") == 0
    return folder / "out"


@pytest.fixture
def searched(search_once: Path, tmp_path: Path) -> Path:
    """The run of `downslope search tiny.toml --out out`, made once and copied."""
    return Path(shutil.copytree(search_once, tmp_path / "out"))


@pytest.fixture
def npz() -> Callable[..., None]:
    """Write a table of three columns and two classes, with some of its arrays changed."""

    def write(path: Path, **changes: np.ndarray) -> None:
        generator = np.random.default_rng(0)
        arrays = {"X": generator.random((50, 3)).astype(np.float32), "y": np.arange(50) % 2}
        np.savez(path, **{**arrays, **changes})

    return write
