"""Functions that cannot be used as asked are told so; unusual but right ones are taken."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from downslope.assignment import Checker, Limits, Verdict, read_submission
from downslope.assignment.catalogue import reference_source
from downslope.assignment.submission import _without_magics

LIMITS = Limits(seconds=10.0, reading=1.0)
HEAD = "import argparse, time\nimport torch\nfrom torch import nn\n"
EVALUATE = """
def evaluate(model, loader):
    model.eval()
    hits = rows = 0
    with torch.no_grad():
        for x, y in loader:
            hits += (model(x).argmax(1) == y).sum().item() * scale
            rows += len(y)
    return hits / rows
"""


def found(checker: Checker, folder: Path, source: str) -> dict[str, Verdict]:
    path = folder / "solution.py"
    path.write_text(source, "utf-8")
    return {v.function: v for v in checker.check(read_submission(path)).verdicts}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def build_mlp(a, b, c, d): pass",
            "returns nothing (None), should return a network (nn.Module)",
        ),
        (
            "def train_epoch(model, loader, criterion, optimizer): return 0.5",
            "returns a number, should return the mean loss and the flat parameters",
        ),
        ("def prepare_data(): return 1, 2", "cannot be called with batch_size: too many"),
        ("class Autoencoder:\n    def __init__(self, size): ...", "called with no arguments"),
        ("evaluate = 5", "is a number and cannot be called"),
        ("@undefined\ndef evaluate(a, b): ...", "is not there after the code outside"),
        ("if __name__ == '__main__':\n    def evaluate(a, b): ...", "is not there after"),
    ],
)
def test_what_cannot_be_used_as_asked_is_told_without_python_words_of_ours(
    checker: Checker, tmp_path: Path, code: str, said: str
) -> None:
    (verdict,) = (
        v for v in found(checker, tmp_path, HEAD + code).values() if v.status != "missing"
    )
    assert verdict.status == "error"
    assert said in verdict.lines[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [
        "scale = argparse.ArgumentParser().parse_args() and 1",
        "time.sleep(60)\nscale = int(1)",
        "display(get_ipython().run_line_magic('time', ''))\nscale = 1",
    ],
)
def test_what_a_function_needs_is_there(checker: Checker, tmp_path: Path, before: str) -> None:
    verdict = found(checker, tmp_path, f"{HEAD}{before}\n{EVALUATE}")["evaluate"]
    assert verdict.status == "bits", verdict


@pytest.mark.slow
def test_a_number_of_attempts_is_not_taken_for_a_seed(checker: Checker, tmp_path: Path) -> None:
    source = reference_source()
    one = "seed: int = 541, attempts: int = 50"
    assert one in source
    for other in ("attempts: int = 12, random_state: int = 541", "attempts: int = 12"):
        own = source.replace(one, other).replace('"epochs": [15, 20, 25]', '"epochs": [2]')
        if "random_state" in other:
            own = own.replace("seed + attempt", "random_state + attempt")
            own = own.replace("RandomState(seed)", "RandomState(random_state)")
        else:
            own = own.replace("seed + attempt", "541 + attempt")
            own = own.replace("RandomState(seed)", "RandomState(len(train_dataset) + attempts)")
            own = own.replace(
                "    best_config: dict", "    assert attempts == 12\n    best_config: dict"
            )
        verdict = found(checker, tmp_path, own)["hyperparam_tuning"]
        assert verdict.right, verdict


@pytest.mark.slow
def test_an_autoencoder_that_is_trained_as_it_was_built_is_right(
    checker: Checker, tmp_path: Path
) -> None:
    source = reference_source()
    start = source.index("def train_autoencoder")
    own = source[:start] + source[start:].replace("    model.train()\n", "", 1)
    assert found(checker, tmp_path, own)["train_autoencoder"].status == "bits"


def test_code_that_begins_like_a_magic_is_kept() -> None:
    split = 'print("%d of %d"\n      % (1, 2))\n%time'
    assert _without_magics(split) == ['print("%d of %d"', "      % (1, 2))", "pass"]
    assert _without_magics("!pip install a \\\n  b\nx = 1") == ["pass", "", "x = 1"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("deep.ipynb", "[" * 200_000, "is no notebook"),
        ("deep.py", "x = " + "-" * 90_000 + "1", "nested too deeply"),
    ],
)
def test_files_that_are_nested_deeply_are_one_line(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    (problem,) = read_submission(tmp_path / name).problems
    assert said in problem


def _servers(marker: str) -> list[int]:
    """List the processes that have a marker in their environment."""
    pids: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (path / "environ").read_bytes():
                pids.append(int(path.name))
        except OSError:
            continue
    return pids


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("kill", "linux"),
    [(signal.SIGINT, True), (signal.SIGKILL, True), (signal.SIGKILL, False)],
)
def test_nothing_runs_on_after_an_interrupt(
    tmp_path: Path, kill: signal.Signals, linux: bool
) -> None:
    ready = tmp_path / "ready"
    source = (
        f"def evaluate(model, loader):\n    open({str(ready)!r}, 'w'); import time; time.sleep(60)"
    )
    (tmp_path / "slow.py").write_text(source)
    marker = f"MARKER={tmp_path.name}-{os.getpid()}"
    code = "from downslope.assignment import checker\nfrom downslope.__main__ import main\n"
    if not linux:  # as on a system that does not tell a child of its parent's end
        server = "from downslope.assignment import server; server.LINUX = False; server.main()"
        code += f"checker.SERVER = ('-c', {server!r})\n"
    check = subprocess.Popen(
        [sys.executable, "-c", f"{code}main()", "check", "slow.py", "--seconds", "60"],
        cwd=tmp_path,
        env={**os.environ, "MARKER": marker.removeprefix("MARKER=")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ready.exists() and _servers(marker)
    if kill == signal.SIGINT:
        os.killpg(check.pid, kill)  # as a terminal does
    else:
        check.kill()
    said = check.communicate(timeout=60)[1]
    assert "Traceback" not in said
    while _servers(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _servers(marker) == []


@pytest.mark.slow
def test_a_function_that_is_not_filled_in_is_told_so(checker: Checker, tmp_path: Path) -> None:
    source = HEAD + "def evaluate(model, loader):\n    raise NotImplementedError"
    assert found(checker, tmp_path, source)["evaluate"].lines == [
        "line 5: raise NotImplementedError: is not filled in yet"
    ]
