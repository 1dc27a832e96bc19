"""Members on a Ray cluster: a fake one for what goes wrong, a real one where Ray is installed."""

import importlib.util
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from downslope.autoencoders import Corruption, train_autoencoders
from downslope.data import Examples
from downslope.engines import Checkpoint, Engine, EpochRecord, Job, fingerprint, train
from downslope.engines.ray import Cluster, RayRunner, train_on_node
from downslope.engines.runner import RETRIES
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.runs import Run

DRAW = np.random.default_rng(0)
DATA = Examples(DRAW.random((90, 12), dtype=np.float32), DRAW.integers(0, 4, 90))
HELD_OUT = Examples(DRAW.random((20, 12), dtype=np.float32), DRAW.integers(0, 4, 20))
MEMBERS = [
    Member(
        network=NetworkSpec(widths=(12, 8, 4)),
        training=TrainingSpec(epochs=epochs, momentum=0.9, batch_size=16),
        seed=epochs,
    )
    for epochs in (3, 6, 4)
]


def bits(record: EpochRecord) -> bytes:
    """Everything in a record but its time and its checkpoint, which the engine hands out or not."""
    bare = msgspec.structs.replace(record, seconds=0.0, checkpoint=None)
    return msgspec.msgpack.encode(bare, enc_hook=lambda a: (str(a.dtype), a.shape, a.tobytes()))


class FakeCluster:
    """Trains in this process; a task dies after its n-th message where `deaths` says so."""

    def __init__(self, deaths: list[int | None], news: int = 1) -> None:
        self.deaths, self.news = deaths, news
        self.started: list[tuple[int, Any]] = []
        self.cancelled = 0
        self.cores = 2

    def put(self, examples: Examples | None) -> Examples | None:
        return examples

    def runner(self, *arguments: Any, engine: Engine = "auto") -> RayRunner:
        return RayRunner(self, *arguments, engine=engine)  # pyright: ignore[reportArgumentType]

    def start(self, *arguments: Any) -> Iterator[list[EpochRecord] | str]:
        self.started.append((arguments[2].index, arguments[2].checkpoint))
        death = self.deaths.pop(0) if self.deaths else None
        return self._messages(arguments, death)

    def _messages(self, arguments: Any, death: int | None) -> Iterator[list[EpochRecord] | str]:
        for sent, news in enumerate(train_on_node(*arguments)):
            if sent == death:
                break
            yield news
        if death is not None:
            yield "the worker was killed"

    def next_of(self, tasks: list[Any], wait: bool) -> tuple[Any, list[EpochRecord] | str | None]:
        return tasks[0], next(tasks[0], None)

    def cancel(self, task: Any) -> None:
        self.cancelled += 1


@pytest.fixture
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message and a state after every epoch."""
    monkeypatch.setattr("downslope.engines.ray.NEWS", -1.0)
    monkeypatch.setattr("downslope.engines.ray.STATES", -1.0)


def drain(cluster: Any, members: list[Member]) -> list[EpochRecord]:
    return list(train(members, DATA, HELD_OUT, snapshots_per_epoch=2, make_runner=cluster.runner))


@pytest.mark.parametrize("deaths", [[], [0], [1, 1], [2, 0, None, 3]])
def test_records_are_those_of_one_machine_whoever_dies(chatty: None, deaths: list[int]) -> None:
    here = list(train(MEMBERS, DATA, HELD_OUT, threads=1, snapshots_per_epoch=2))
    there = drain(FakeCluster(list(deaths)), MEMBERS)
    for i in range(len(MEMBERS)):
        assert [bits(r) for r in there if r.member == i] == [bits(r) for r in here if r.member == i]


@pytest.mark.parametrize("sparsity", [0.0, 0.1])
def test_autoencoders_with_noise_or_a_penalty_are_those_of_one_machine(sparsity: float) -> None:
    training = TrainingSpec(loss="mean_squared_error", optimizer="adam", epochs=3, batch_size=16)
    network = NetworkSpec(widths=(12, 5, 12), output="sigmoid")
    members = [Member(network=network, training=training, seed=seed) for seed in (1, 2)]
    noise = Corruption(amount=0.2)

    def records(**options: Any) -> list[EpochRecord]:
        found = train_autoencoders(
            members, DATA.inputs, noise=noise, sparsity=sparsity, threads=1, **options
        )
        return sorted(found, key=lambda record: record.member)

    there = records(make_runner=FakeCluster([1]).runner)
    assert [bits(r) for r in there] == [bits(r) for r in records()]


def test_a_member_whose_worker_died_goes_on_from_its_last_state(chatty: None) -> None:
    cluster = FakeCluster([2])
    drain(cluster, MEMBERS[1:2])
    assert [checkpoint and checkpoint.epoch for _, checkpoint in cluster.started] == [None, 2]


def test_a_worker_that_always_dies_is_given_up_in_the_end(chatty: None) -> None:
    cluster = FakeCluster([1, *[0] * 50])
    *_, last = drain(cluster, MEMBERS[1:2])
    assert len(cluster.started) == 1 + RETRIES
    assert (last.outcome, last.epoch) == ("failed", 1)
    assert last.reason == f"its worker ended {1 + RETRIES} times in a row: the worker was killed"


def test_the_longest_member_starts_first_and_closing_ends_the_tasks() -> None:
    cluster = FakeCluster([])
    records = train(MEMBERS, DATA, make_runner=cluster.runner)
    next(records)
    assert cluster.started[0][0] == 1
    records.close()
    assert cluster.cancelled > 0


def test_a_stretch_ends_with_a_state_from_which_the_next_goes_on() -> None:
    whole = list(train([MEMBERS[1]], DATA, HELD_OUT))

    def stretch(until: int, checkpoint: Checkpoint | None) -> list[EpochRecord]:
        job = Job(member=MEMBERS[1], index=7, until=until, checkpoint=checkpoint)
        return [r for news in train_on_node(DATA, HELD_OUT, job, fingerprint()) for r in news]

    first = stretch(2, None)
    assert [r.epoch for r in first] == [1, 2]
    assert first[0].checkpoint is None and first[1].checkpoint is not None
    rest = stretch(6, first[1].checkpoint)
    both = [msgspec.structs.replace(r, member=0) for r in (*first, *rest)]
    assert [bits(r) for r in both] == [bits(r) for r in whole]


def test_a_worker_that_dies_after_its_last_record_is_not_replaced(chatty: None) -> None:
    cluster: Any = FakeCluster([100])
    with cluster.runner(DATA, HELD_OUT) as runner:
        runner.submit(Job(member=MEMBERS[1], until=2))
        assert [r.epoch for r in runner.records()] == [1, 2]
        runner.submit(Job(member=MEMBERS[0], index=1))
        assert [r.epoch for r in runner.records()] == [1, 2, 3]
    assert len(cluster.started) == 2


def test_a_node_with_other_versions_is_refused() -> None:
    other = fingerprint() | {"torch": "1.0"}
    with pytest.raises(InputError, match=r"other versions than this machine \(torch .* there, 1.0"):
        next(train_on_node(DATA, None, Job(member=MEMBERS[0]), other))


def test_without_ray_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'downslope\[ray\]'"):
        Cluster()


# A real head and two workers on this machine


PATIENCE = 300
"""Seconds for what a busy machine may take; nothing is timed."""


def needs_ray(test: Callable[..., None]) -> Callable[..., None]:
    without = importlib.util.find_spec("ray") is None or sys.platform != "linux"
    skipped = pytest.mark.skipif(without, reason="needs the extra 'ray'")
    return pytest.mark.slow(pytest.mark.ray(skipped(test)))


RECIPE = """
seed = 7
[data]
name = "digits"
[search]
trials = 4
[search.settings]
epochs = 800
batch_size = 8
[search.space]
units = [8, 16]
learning_rate = [0.01, 0.02]
[refit]
seeds = 2
epochs = 3
"""


def processes(word: bytes, parents: list[int]) -> list[int]:
    """The processes of a cluster whose command holds a word."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
            group = os.getsid(int(folder.name))
        except (OSError, ValueError):
            continue
        if word in title and group in parents:
            found.append(int(folder.name))
    return found


def workers(parents: list[int]) -> list[int]:
    """The processes of a cluster that are training now."""
    return processes(b"ray::train_on_node", parents)


class RealCluster:
    """A head without cores, and nodes with one each."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self.started: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._start(f"--port={self._port}", "--head", "--num-cpus=0", "--include-dashboard=false")

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.started]

    def alive(self) -> bool:
        return all(process.poll() is None for process in self.started)

    def add_node(self) -> None:
        self._start(f"--address={self.address}", "--num-cpus=1")

    def _start(self, *options: str) -> None:
        """Return once it says that it is there: what connects earlier may find nobody who answers.

        Ray itself gives up on a node that takes more than 30 seconds, which it can beside others.
        """
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += ["--disable-usage-stats", "--object-store-memory=80000000", *options]
        deadline = time.monotonic() + PATIENCE
        while True:
            log = self._folder / f"{len(self.started)}.log"
            with log.open("wb") as out:
                process = subprocess.Popen(
                    command, stdout=out, stderr=out, start_new_session=True,
                    env=os.environ | {"PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
            while process.poll() is None:
                if "Ray runtime started" in log.read_text():
                    self.started.append(process)
                    return
                if time.monotonic() > deadline:
                    end(process)
                time.sleep(0.2)
            end(process)
            assert time.monotonic() < deadline, log.read_text()

    def close(self) -> None:
        for process in reversed(self.started):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in self.started:
            with suppress(subprocess.TimeoutExpired):  # nodes whose head was killed wait for it
                process.wait(max(0, deadline - time.monotonic()))
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a session."""
    with suppress(ProcessLookupError):  # as it should be
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with pytest.MonkeyPatch.context() as own:
        # Of its own, whatever the user of this machine has set up for other clusters.
        own.setenv("RAY_USAGE_STATS_ENABLED", "0")
        own.setenv("RAY_AUTH_MODE", "token")
        own.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        with closing(RealCluster(tmp_path_factory.mktemp("cluster"))) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def cluster(head: RealCluster) -> RealCluster:
    for _ in range(2):
        head.add_node()
    return head


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


@contextmanager
def running(
    cluster: RealCluster, folder: Path, *command: str, epochs: int = 800
) -> Generator[subprocess.Popen[str]]:
    """Run a command on the cluster; it begins once members train, and never outlives its test."""
    (folder / "long.toml").write_text(RECIPE.replace("800", str(epochs)))
    command = (sys.executable, "-m", "downslope", command[0], "long.toml", *command[1:])
    command += ("--executor", "ray", "--address", cluster.address)
    child = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        while not workers(cluster.pids):
            assert child.poll() is None, child.communicate()[1]
            assert cluster.alive(), "a node has ended"
            time.sleep(0.1)
        yield child
    finally:
        child.kill()
        child.communicate()


@needs_ray
def test_a_cluster_without_a_core_is_refused(head: RealCluster) -> None:
    """The first test on it: nodes come with the next one. Ray itself would wait for ever."""
    command = [sys.executable, "-m", "downslope", "search", "quick", "--executor", "ray"]
    done = subprocess.run(
        [*command, "--address", head.address], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2, done.stderr
    assert f"the cluster at {head.address} has no cores; start a node: ray start" in done.stderr


@needs_ray
def test_a_cluster_finds_the_same_bits_also_when_a_worker_is_killed(
    cluster: RealCluster, tmp_path: Path
) -> None:
    command = ["run", "--stages", "search,refit", "--out"]
    with running(cluster, tmp_path, *command, "there") as child:
        before: list[int] = []
        # Seen twice: killed in the middle of a stretch.
        while not (training := [pid for pid in workers(cluster.pids) if pid in before]):
            assert child.poll() is None, child.communicate()[1]
            before = workers(cluster.pids)
            time.sleep(0.3)
        os.kill(training[0], signal.SIGKILL)
        _, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, err
    assert "search: " in err, "progress as on one machine"
    here = [sys.executable, "-m", "downslope", command[0], "long.toml", *command[1:], "here"]
    assert subprocess.run([*here, "--quiet"], cwd=tmp_path).returncode == 0
    one, other = Run(tmp_path / "here"), Run(tmp_path / "there")
    assert timeless(msgspec.to_builtins(one.read_results())) == timeless(
        msgspec.to_builtins(other.read_results())
    )
    for path in (one.path / "refit").iterdir():
        assert path.read_bytes() == (other.path / "refit" / path.name).read_bytes(), path.name
    assert other.damaged() == []


@needs_ray
def test_an_interrupt_ends_the_tasks_and_the_run_goes_on_on_one_machine(
    cluster: RealCluster, tmp_path: Path
) -> None:
    with running(cluster, tmp_path, "search", "--out", "out", epochs=20000) as child:
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 143, err
    assert f"run --resume out --executor ray --address {cluster.address}" in err
    deadline = time.monotonic() + PATIENCE
    while workers(cluster.pids):
        assert time.monotonic() < deadline, "tasks outlive their coordinator"
        time.sleep(0.1)
    assert Run(tmp_path / "out").damaged() == []


@needs_ray
@pytest.mark.parametrize("told", ["--address", "RAY_ADDRESS", "auto"])
def test_no_cluster_at_an_address_is_one_line(tmp_path: Path, told: str) -> None:
    """Given, in the environment, or noted by a cluster that has died since; Ray itself waits."""
    command = [sys.executable, "-m", "downslope", "search", "quick", "--out", "out"]
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("127.0.0.1:1")
    where = {
        "--address": ["--address", "127.0.0.1:1"], "RAY_ADDRESS": [], "auto": ["--address", "auto"],
    }  # fmt: skip
    variables = {"RAY_ADDRESS": "127.0.0.1:1"} if told == "RAY_ADDRESS" else {}
    done = subprocess.run(
        [*command, "--executor", "ray", *where[told]], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"RAY_TMPDIR": str(tmp_path)} | variables,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "downslope: executor ray: no cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


@needs_ray
@pytest.mark.parametrize("address", ["a" * 70 + ":6379", "127.0.0.1:99999", "no.such.host:1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=f"no cluster at {address}"):
        Cluster(address)


@needs_ray
def test_another_server_at_the_address_is_refused() -> None:
    """Ray itself would wait for minutes."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="is not a Ray cluster"):
            Cluster(f"127.0.0.1:{server.server_port}")
        server.shutdown()


@needs_ray
def test_a_head_that_dies_ends_the_run_with_one_line(cluster: RealCluster, tmp_path: Path) -> None:
    """The last test on this cluster. Ray itself waits a minute, and ends without a word.

    Where a node's own daemon on the coordinator's machine dies, Ray ends the process at once; that
    is as a kill: the run is gone on with.
    """
    with running(cluster, tmp_path, "search", "--out", "out", epochs=20000) as child:
        (head,) = processes(b"gcs_server", cluster.pids)
        os.kill(cluster.pids[0], signal.SIGSTOP)  # or it would end all else on its machine
        os.kill(head, signal.SIGKILL)
        _, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == 2, err
    assert re.search(r"^downslope: executor ray: .* does not answer any more", err, re.MULTILINE)
    assert "Traceback" not in err
    assert Run(tmp_path / "out").damaged() == []
