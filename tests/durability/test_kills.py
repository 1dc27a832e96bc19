"""kill -9 at any moment, at every change to a file, twice over; a disk that is full at any moment.

However a run was interrupted, once it has gone on to its end its results (times aside), weights
and arrays are to the bit those of a run that nothing interrupted. A bounded choice of moments here;
`make kill` takes every one of them, and 240 random ones.
"""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
FULL = os.environ.get("DOWNSLOPE_KILLS") == "full"
STAGES = ["search", "refit", "variants", "landscape", "autoencoder"]
TINY = """
seed = 7
[data]
name = "tiny.npz"
validation = 40
[search]
trials = 4
[search.halving]
method = "halving"
factor = 2
smallest = 0.5
[search.choice]
top = 2
seeds = 1
[search.settings]
epochs = 2
units = 12
[search.space]
hidden_layers = [1, 2]
learning_rate = {low = 0.02, high = 0.2, log = true}
[refit]
seeds = 2
epochs = 3
monitor_test = true
[variants]
trials = 2
[variants.choice]
top = 1
[variants.settings]
epochs = 1
units = 8
learning_rate = 0.05
hidden_layers = 1
[variants.space]
normalization = ["none", "batch"]
activation = ["prelu", "elu"]
[variants.refit]
seeds = 2
epochs = 2
[landscape]
grid = [4, 3]
examples = 50
snapshots_per_epoch = 2
curvature = 1
[autoencoder]
hidden = [16, 8, 16]
[autoencoder.training]
epochs = 2
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("cc") is None,
        reason="faults are put in with LD_PRELOAD and a C compiler",
    ),
]


class Server:
    """A process that has everything imported and runs the recipe in forked children."""

    def __init__(self, library: Path, recipe: Path) -> None:
        environment = dict(os.environ, LD_PRELOAD=str(library), OMP_NUM_THREADS="1")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.recipe = recipe

    def ask(self, out: Path, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        line = {"recipe": str(self.recipe), "out": str(out), "stages": STAGES, **request}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the server has ended"
        return json.loads(answer)

    def finish(self, out: Path, **request: Any) -> dict[str, str]:
        """Let the run go on to its end and return its digests."""
        said = self.ask(out, **request)
        assert (said["status"], said.get("error")) == (0, None), said
        left = [path.name for path in out.rglob(".*") if path.name != ".lock"]
        assert left == [], "nothing unfinished lies about"
        return self.ask(out, digest=True)["digest"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("faults")
    library, recipe = folder / "faults.so", folder / "tiny.toml"
    compiler = ["cc", "-O1", "-shared", "-fPIC", "-Wall", "-Werror"]
    subprocess.run([*compiler, "-o", library, HERE / "faults.c", "-ldl"], check=True)
    recipe.write_text(TINY)
    digits = load_digits()
    images, targets = (digits.images * 15).astype(np.uint8), digits.target
    part = {"x_train": images[:240], "y_train": targets[:240]}
    np.savez(recipe.with_suffix(".npz"), **part, x_test=images[240:300], y_test=targets[240:300])
    made = [Server(library, recipe) for _ in range(2)]
    yield made
    for server in made:
        assert server.process.stdin is not None and server.process.stdout is not None
        server.process.kill()
        server.process.wait()
        server.process.stdin.close()
        server.process.stdout.close()


@pytest.fixture(scope="module")
def whole(
    servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], int, float]:
    """Digests of an uninterrupted run, the number of its changes to files, and its duration."""
    out = tmp_path_factory.mktemp("whole") / "run"
    said = servers[0].ask(out, mode="count")
    assert said["status"] == 0
    assert said["count"] > 150
    again = tmp_path_factory.mktemp("again") / "run"
    digest = servers[0].ask(out, digest=True)["digest"]
    assert servers[1].finish(again, threads=2) == digest, "thread counts do not matter"
    return digest, said["count"], said["seconds"]


def side_by_side(servers: list[Server], jobs: list[Any], work: Any) -> None:
    """Do `work(server, job)` for every job, two at a time."""

    def share(which: int) -> None:
        for job in jobs[which :: len(servers)]:
            work(servers[which], job)

    with ThreadPoolExecutor(len(servers)) as pool:
        for done in [pool.submit(share, which) for which in range(len(servers))]:
            done.result()


def chosen(count: int, wanted: int, first: int = 1) -> list[int]:
    """All moments from 1 to count, or some spread over them."""
    return list(range(1, count + 1) if FULL else range(first, count + 1, count // wanted))


@pytest.mark.parametrize("mode", ["kill before", "kill torn"])
def test_a_kill_at_a_write_sync_or_rename_changes_no_bit(
    servers: list[Server], whole: tuple[dict[str, str], int, float], tmp_path: Path, mode: str
) -> None:
    digest, count, _ = whole

    def kill(server: Server, at: int) -> None:
        out = tmp_path / f"at-{at}"
        said = server.ask(out, mode=mode, at=at)
        assert said["status"] == -9, at
        assert server.finish(out) == digest, f"{mode} {at}"
        shutil.rmtree(out)

    side_by_side(servers, chosen(count, 6, first=1 if mode == "kill before" else 7), kill)


def test_a_kill_at_a_random_time_changes_no_bit(
    servers: list[Server], whole: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    digest, _, seconds = whole
    draw = random.Random(541)

    def kill(server: Server, number: int) -> None:
        out = tmp_path / f"random-{number}"
        moment = moments[number]
        while (status := server.ask(out, after=moment)["status"]) != -9:
            # The machine is faster than when the whole run was measured.
            assert status == 0
            shutil.rmtree(out)
            moment /= 2
        assert server.finish(out, threads=1 + number % 2) == digest, moment
        shutil.rmtree(out)

    moments = [draw.uniform(0, seconds) for _ in range(240 if FULL else 6)]
    side_by_side(servers, list(range(len(moments))), kill)


def test_a_kill_while_going_on_after_a_kill_changes_no_bit(
    servers: list[Server], whole: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    digest, count, _ = whole
    draw = random.Random(576)

    def kill(server: Server, number: int) -> None:
        out = tmp_path / f"double-{number}"
        first, second = draw.randint(1, count), draw.randint(1, 60)
        said = server.ask(out, mode=draw.choice(["kill before", "kill torn"]), at=first)
        assert said["status"] == -9
        # The second may come after the end.
        assert server.ask(out, mode="kill after", at=second)["status"] in (0, -9)
        assert server.finish(out) == digest, (first, second)
        shutil.rmtree(out)

    side_by_side(servers, list(range(100 if FULL else 4)), kill)


def test_a_full_disk_leaves_what_was_there_and_the_run_goes_on_when_there_is_room(
    servers: list[Server], whole: tuple[dict[str, str], int, float], tmp_path: Path
) -> None:
    digest, count, _ = whole
    changes = chosen(count, 4)

    def fill(server: Server, at: int) -> None:
        out = tmp_path / f"full-{at}"
        said = server.ask(out, mode="fail", at=at, errno=errno.ENOSPC)
        if at > said["count"]:  # fewer changes: only those that need room are counted here
            return
        assert said["status"] == 0, f"one line, no traceback: {at}"
        assert "No space left on device" in said["error"] or "full" in said["error"], said
        assert str(out) in said["error"]
        assert server.finish(out) == digest, f"full {at}"
        shutil.rmtree(out)

    side_by_side(servers, changes, fill)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="as an ordinary user tests/cli/test_mistakes.py shows it"
)
def test_a_read_only_directory_is_refused_before_any_training(
    servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = Path("/") / "downslope-read-only"
    said = servers[0].ask(out, user=65534)
    assert said["status"] == 0
    assert f"{out}: cannot be written (Permission denied)" in said["error"]
    assert not out.exists()
