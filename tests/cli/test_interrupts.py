"""Signals, and two processes on one run."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from downslope.runs import Run

PATIENCE = 120
"""Seconds for what a busy machine may take; nothing is timed."""


@contextmanager
def started(*command: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a process that does not outlive its test, whatever becomes of that."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for_line(child: subprocess.Popen[str], stream: IO[str] | None, start: str) -> None:
    """Read a child's output up to a line that begins so; end a child that does not say it."""
    assert stream is not None
    watchdog = threading.Timer(PATIENCE, child.kill)
    watchdog.start()
    lines: list[str] = []
    try:
        for line in iter(stream.readline, ""):
            lines.append(line)
            if line.startswith(start):
                return
    finally:
        watchdog.cancel()
    raise AssertionError(f"no line {start!r}: {''.join(lines)}")


def wait_for_file(child: subprocess.Popen[str], path: Path) -> None:
    """Wait until a child has written a file."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert child.poll() is None and time.monotonic() < end, f"no {path}"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_an_interrupt_keeps_what_was_finished_and_says_how_to_go_on(
    recipe_file: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    changes = ["--set", "search.space.epochs=[1,1,1,2000]", "--set", "search.trials=12"]
    command = ["run", "tiny.toml", "--out", "out", "--stages", "search", *changes]
    # As `python -m downslope` would, and say when a trial is stored.
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # where nohup runs the tests too
        "from downslope.search.trials import TrialStore\n"
        "add = TrialStore.add\n"
        "def tell(store, trial):\n"
        "    add(store, trial)\n"
        "    print('stored', flush=True)\n"
        "TrialStore.add = tell\n"
        "runpy.run_module('downslope', run_name='__main__', alter_sys=True)\n"
    )
    with started(sys.executable, "-c", program, *command, cwd=tmp_path) as child:
        wait_for_line(child, child.stdout, "stored")
        child.send_signal(number)
        _, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == status, err
    assert "Traceback" not in err
    assert "To resume: python -m downslope run --resume out" in err
    results = Run(tmp_path / "out").read_results()
    assert results.seconds == {}
    assert results.search is not None and results.search.trials
    left = {path.name for path in (tmp_path / "out").rglob(".*")}
    assert left == {".lock"}, "no temporary files are left"


@pytest.mark.slow
def test_two_processes_on_one_run_are_told_apart(recipe_file: Path, tmp_path: Path) -> None:
    long = ["--set", "search.space.epochs=[100000]", "--stages", "search", "--out", "out"]
    command = [sys.executable, "-m", "downslope", "run", "tiny.toml", *long]
    with started(*command, cwd=tmp_path) as first:
        wait_for_line(first, first.stderr, "run: out")
        wait_for_file(first, tmp_path / "out" / "results.json")  # written with the lock
        second = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
        )
    assert second.returncode == 2
    assert f"in use by process {first.pid}" in second.stderr
    # A dead holder's lock is gone with it.
    with Run(tmp_path / "out").locked():
        pass


@pytest.mark.slow
def test_ctrl_c_while_starting_is_clean() -> None:
    # Until our handlers are there, Python answers in its own way: wait for the second of them.
    program = (
        "import signal, sys\n"
        "install = signal.signal\n"
        "def told(number, handler):\n"
        "    install(number, handler)\n"
        "    if number == signal.SIGTERM: print('here', flush=True)\n"
        "signal.signal = told\n"
        "sys.argv = ['downslope', 'doctor']\n"
        "from downslope.__main__ import main\n"
        "main()\n"
    )
    for delay in (0.0, 0.1, 0.3):
        with started(sys.executable, "-c", program) as child:
            wait_for_line(child, child.stdout, "here")
            time.sleep(delay)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 130, err
