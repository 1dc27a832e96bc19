"""A member's result depends on the member and the data alone."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from downslope import EpochRecord, Examples, InputError, Member, NetworkSpec, TrainingSpec
from downslope.engines import (
    MISSING,
    Checkpoint,
    choose_engine,
    instruction_sets,
    native,
    runner,
    train,
)
from downslope.engines import workers as worker_processes

generator = np.random.default_rng(0)
DATA = Examples(
    generator.standard_normal((200, 12)).astype(np.float32), generator.integers(0, 4, 200)
)
HELD_OUT = Examples(DATA.inputs[:50], DATA.targets[:50])


def make(seed: int, units: int, batch: int, epochs: int, **network) -> Member:
    return Member(
        network=NetworkSpec(widths=(12, units, 4), **network),
        training=TrainingSpec(batch_size=batch, epochs=epochs, learning_rate=0.1),
        seed=seed,
    )


MEMBERS = [
    make(1, 30, 16, 3),
    make(2, 7, 5, 2, normalization="batch", dropout=0.3),
    make(3, 16, 200, 4, activation="gelu"),
    make(1, 30, 16, 3),
]


def bits(records: list[EpochRecord], index: int) -> list[tuple[object, ...]]:
    """Collect everything that must be the same about a member: all but its wall time."""
    return [
        (
            r.epoch,
            r.step,
            r.train_loss,
            r.validation_loss,
            r.validation_accuracy,
            r.batch_losses.tobytes(),
            r.outcome,
            [(s.step, s.loss, s.parameters.tobytes()) for s in r.snapshots],
            None if r.state is None else {k: v.tobytes() for k, v in r.state.items()},
        )
        for r in records
        if r.member == index
    ]


def stat(pid: int) -> list[str] | None:
    """Read what the kernel says of a process after its name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def status(pid: int) -> str | None:
    found = stat(pid)
    return found[0] if found else None


def workers_of(parent: int) -> list[int]:
    pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return [
        pid
        for pid in pids
        if (found := stat(pid)) and int(found[1]) == parent
        if b"downslope.engines.workers" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


ENGINES = ["pytorch", *(["native"] if instruction_sets() else [])]
# Where the PyTorch engine starts workers: each is a process that imports torch.
STARTING_WORKERS = [pytest.param("pytorch", marks=pytest.mark.slow), *ENGINES[1:]]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even small work go to worker processes."""
    monkeypatch.setattr(runner, "WORTH_WORKERS", 0)


@pytest.mark.parametrize("engine", STARTING_WORKERS)
def test_alone_and_among_others_the_bits_are_the_same(workers, engine) -> None:
    def run(threads: int, members: list[Member]) -> list[EpochRecord]:
        options = {"threads": threads, "snapshots_per_epoch": 2, "engine": engine}
        return list(train(members, DATA, HELD_OUT, **options))

    together = run(1, MEMBERS)
    for threads in (2, 4):
        parallel = run(threads, MEMBERS)
        for i in range(len(MEMBERS)):
            assert bits(parallel, i) == bits(together, i)
    for i, member in enumerate(MEMBERS):
        assert bits(run(1, [member]), 0) == bits(together, i)
    # Equal members are equal, different seeds are not: the comparison can fail.
    assert bits(together, 0) == bits(together, 3)
    assert bits(together, 0) != bits(together, 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("torch_threads", [1, 2])
def test_the_callers_torch_threads_do_not_matter(torch_threads: int, engine) -> None:
    wide = make(5, 300, 128, 2)
    before = torch.get_num_threads()
    reference = bits(list(train([wide], DATA, HELD_OUT, engine=engine)), 0)
    try:
        torch.set_num_threads(torch_threads)
        records = train([wide], DATA, HELD_OUT, engine=engine)
        first = next(records)
        assert torch.get_num_threads() == torch_threads, "restored between records"
        assert bits([first, *records], 0) == reference
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_longest_member_starts_first(engine) -> None:
    members = [make(1, 8, 50, 1), make(2, 8, 50, 5)]
    records = list(train(members, DATA, threads=1, engine=engine))
    assert [r.member for r in records] == [1] * 5 + [0]


@pytest.mark.parametrize("engine", STARTING_WORKERS)
def test_a_member_that_cannot_be_trained_fails_and_the_others_go_on(workers, engine) -> None:
    # Of one row batch norm can take no variance.
    bad, row = make(1, 8, 16, 2, normalization="batch"), DATA.take(np.array([0]))
    for threads in (1, 2):
        records = list(train([bad, MEMBERS[0]], row, threads=threads, engine=engine))
        ends = {r.member: r for r in records if r.outcome}
        assert ends[0].outcome == "failed"
        assert "more than 1 value per channel" in ends[0].reason
        assert ends[1].outcome == "completed"


@pytest.mark.parametrize("engine", ENGINES)
def test_batch_norm_leaves_out_a_last_minibatch_of_one_row_as_drop_last_does(engine) -> None:
    member = make(3, 8, 199, 2, normalization="batch")
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Linear(12, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
    )
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    rows = torch.utils.data.TensorDataset(
        torch.from_numpy(DATA.inputs), torch.from_numpy(DATA.targets)
    )
    loader = torch.utils.data.DataLoader(rows, batch_size=199, shuffle=True, drop_last=True)
    expected: list[float] = []
    for _ in range(2):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(inputs), targets)
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    records = list(train([member], DATA, engine=engine, checkpoint_every=1))
    assert [r.step for r in records] == [1, 2]
    assert [r.train_loss for r in records] == pytest.approx(expected, rel=1e-5)
    resumed = train([member], DATA, engine=engine, resume={0: records[0].checkpoint})
    assert bits(list(resumed), 0) == bits(records[1:], 0)


@pytest.mark.slow
@linux
def test_a_killed_worker_is_replaced_and_changes_no_bit(workers) -> None:
    slow = [make(1, 64, 1, 60), MEMBERS[0], MEMBERS[2]]
    whole = list(train(slow, DATA, HELD_OUT, threads=2, engine="pytorch"))
    records = train(slow, DATA, HELD_OUT, threads=2, engine="pytorch")
    seen = [next(records)]
    os.kill(min(workers_of(os.getpid())), signal.SIGKILL)
    seen += records
    for i in range(3):
        assert bits(seen, i) == bits(whole, i)


@linux
def test_a_worker_that_always_ends_is_given_up(workers, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    start = worker_processes.start

    def short_lived(folder: Path) -> object:
        started.append(folder)
        process = start(folder)
        process.kill()
        return process

    monkeypatch.setattr(worker_processes, "start", short_lived)
    records = list(train([make(1, 64, 1, 60)] * 2, DATA, threads=2, engine="pytorch"))
    assert [(r.outcome, r.epoch) for r in records] == [("failed", 0)] * 2
    times = 1 + runner.RETRIES
    assert records[0].reason == f"its worker process ended {times} times in a row, with status -9"
    assert len(started) == 2 * times


@pytest.mark.slow
@linux
def test_closing_the_generator_ends_the_workers(workers) -> None:
    slow = [make(s, 64, 1, 500) for s in range(2)]
    records = train(slow, DATA, threads=2, engine="pytorch")
    next(records)
    records.close()
    assert workers_of(os.getpid()) == []


@pytest.mark.slow
@linux
def test_workers_end_when_their_parent_is_killed() -> None:
    program = """
import numpy as np
from downslope import *
from downslope.engines import runner
runner.WORTH_WORKERS = 0
data = Examples(np.zeros((200, 12), np.float32), np.zeros(200, np.int64))
member = lambda s: Member(network=NetworkSpec(widths=(12, 64, 4)),
    training=TrainingSpec(batch_size=1, epochs=500), seed=s)
for record in train([member(0), member(1)], data, threads=2, engine="pytorch"):
    print(record.epoch, flush=True)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    children = workers_of(parent.pid)
    assert len(children) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while any(status(child) not in (None, "Z") for child in children):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def test_an_empty_population_yields_nothing() -> None:
    assert list(train([], DATA)) == []


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match="threads"):
        train(MEMBERS, DATA, threads=threads)


def test_data_are_checked_before_anything_starts() -> None:
    with pytest.raises(InputError, match="do not fit"):
        train([make(1, 8, 16, 1)], Examples(DATA.inputs[:, :3].copy(), DATA.targets))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "member",
    [
        *MEMBERS[:3],
        Member(
            network=NetworkSpec(widths=(12, 9, 4), normalization="batch", dropout=0.2),
            training=TrainingSpec(optimizer="adamw", schedule="one_cycle", epochs=4),
            seed=6,
        ),
        Member(
            network=NetworkSpec(widths=(12, 9, 4), activation="prelu"),
            training=TrainingSpec(momentum=0.9, nesterov=True, schedule="cosine", epochs=4),
            seed=7,
        ),
    ],
    ids=lambda m: m.training.optimizer + m.network.activation,
)
@pytest.mark.parametrize("pause", [1, 2])
def test_a_paused_member_goes_on_to_the_same_bits(engine, member: Member, pause: int) -> None:
    if pause >= member.training.epochs:
        pytest.skip("it has ended by then")
    options = {"engine": engine, "snapshots_per_epoch": 2}
    whole = list(train([member], DATA, HELD_OUT, **options, checkpoint_every=pause))
    content = whole[pause - 1].checkpoint.to_bytes()
    checkpoint = Checkpoint.from_bytes(content)
    assert checkpoint.epoch == pause
    rest = list(train([member], DATA, HELD_OUT, **options, resume={0: checkpoint}))
    assert bits(rest, 0) == bits(whole[pause:], 0)


@pytest.mark.slow
def test_going_on_in_a_worker_process_gives_the_same_bits(workers) -> None:
    pair = [MEMBERS[0], MEMBERS[2]]
    records = list(train(pair, DATA, HELD_OUT, threads=1, engine="pytorch", checkpoint_every=1))
    checkpoints = {r.member: r.checkpoint for r in records if r.epoch == 1}
    rest = list(train(pair, DATA, HELD_OUT, threads=2, engine="pytorch", resume=checkpoints))
    for i in (0, 1):
        assert bits(rest, i) == bits([r for r in records if r.epoch > 1], i)


GO_ON = """
import hashlib, sys
from pathlib import Path
import numpy as np
from downslope import Examples
from downslope.engines import Checkpoint, train
folder, engine = Path(sys.argv[1]), sys.argv[2]
arrays = np.load(folder / "data.npz")
for file in sorted(folder.glob("*.safetensors")):
    checkpoint = Checkpoint.from_bytes(file.read_bytes())
    data = Examples(arrays["inputs"], arrays["targets"])
    records = train([checkpoint.member], data, engine=engine, resume={0: checkpoint})
    *_, last = records
    digest = hashlib.sha256(last.batch_losses.tobytes())
    for name, value in sorted(last.state.items()):
        digest.update(name.encode() + value.tobytes())
    print(file.stem, digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_paused_at_any_epoch_and_resumed_in_a_new_process_the_bits_are_the_same(
    engine, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", inputs=DATA.inputs, targets=DATA.targets)
    expected = {}
    for i, member in enumerate(MEMBERS[:3]):
        *records, last = train([member], DATA, engine=engine, checkpoint_every=1)
        digest = hashlib.sha256(last.batch_losses.tobytes())
        for name, value in sorted(last.state.items()):
            digest.update(name.encode() + value.tobytes())
        for record in records:
            name = f"member{i}-epoch{record.epoch}"
            (tmp_path / f"{name}.safetensors").write_bytes(record.checkpoint.to_bytes())
            expected[name] = digest.hexdigest()
    printed = subprocess.run(
        [sys.executable, "-c", GO_ON, str(tmp_path), engine],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert dict(line.split() for line in printed.splitlines()) == expected
    assert len(expected) == 6


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_member_among_fifty_others_is_as_alone_on_any_number_of_threads(threads: int) -> None:
    alone = list(train([MEMBERS[1]], DATA, HELD_OUT))
    crowd = [make(i, 3 + i % 40, 4 + i, 1 + i % 3, dropout=0.1 * (i % 2)) for i in range(50)]
    crowd.insert(23, MEMBERS[1])
    records = list(train(crowd, DATA, HELD_OUT, threads=threads))
    assert bits(records, 23) == bits(alone, 0)


def test_a_checkpoint_of_another_member_is_refused() -> None:
    checkpoint = next(train([MEMBERS[0]], DATA, checkpoint_every=1)).checkpoint
    with pytest.raises(InputError, match="another member"):
        train([MEMBERS[1]], DATA, resume={0: checkpoint})


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_a_damaged_checkpoint_is_refused(damage: bytes | None) -> None:
    checkpoint = next(train([MEMBERS[0]], DATA, checkpoint_every=1)).checkpoint
    with pytest.raises(InputError, match="checkpoint"):
        Checkpoint.from_bytes(checkpoint.to_bytes()[:-9] if damage is None else damage)


def test_an_engine_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="must be one of"):
        train(MEMBERS, DATA, engine="jax")
    monkeypatch.setattr(native, "_native", None)
    with pytest.raises(InputError, match=MISSING[:30]):
        train(MEMBERS, DATA, engine="native")
    assert choose_engine("auto") == "pytorch"
    assert {r.outcome for r in train(MEMBERS[:1], DATA)} == {None, "completed"}


# What must not crash, hang or be lost

LEFT_OPEN = """
import numpy as np
from downslope import Examples, Member, NetworkSpec, TrainingSpec, train
data = Examples(np.eye(12, dtype=np.float32), np.arange(12) % 4)
training = TrainingSpec(epochs=10**7, batch_size=4)
members = [
    Member(network=NetworkSpec(widths=(12, 8, 4)), training=training, seed=i) for i in range(4)
]
records = train(members, data, threads=2)
print(next(records).epoch, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("more", "status"), [("", 0), ("raise KeyError('mine')", 1)])
def test_a_program_may_end_while_members_train(more: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN + more], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == "1\n"
    assert ("KeyError: 'mine'" in done.stderr) is bool(more)


@pytest.mark.parametrize("engine", ["native"] if instruction_sets() else [])
def test_labels_that_change_while_members_train_change_nothing(engine) -> None:
    labels = DATA.targets.copy()
    expected = [r.train_loss for r in train([make(1, 8, 4, 30)], DATA, engine=engine)]
    found = []
    for record in train([make(1, 8, 4, 30)], Examples(DATA.inputs, labels), engine=engine):
        labels[:] = 2**30
        found.append(record.train_loss)
    assert found == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_a_checkpoint_that_cannot_be_gone_on_with_is_refused(engine) -> None:
    member = make(1, 8, 50, 3)
    records = list(train([member], DATA, checkpoint_every=1, engine=engine))
    kept = records[0].checkpoint
    assert kept is not None
    for index, checkpoint, words in (
        (1, kept, "resume names member 1; there are members 0 to 0"),
        (-1, kept, "resume names member -1"),
        (0, msgspec.structs.replace(kept, epoch=3), "of epoch 3 of 3"),
        (0, msgspec.structs.replace(kept, epoch=-1), "of epoch -1 of 3"),
    ):
        with pytest.raises(InputError, match=words):
            train([member], DATA, resume={index: checkpoint}, engine=engine)
    with pytest.raises(InputError, match="checkpoint_every = -1"):
        train([member], DATA, checkpoint_every=-1, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_minibatch_larger_than_the_data_is_all_of_them(engine) -> None:
    whole, larger = make(1, 8, len(DATA), 3), make(1, 8, 2**24, 3)
    expected = [r.train_loss for r in train([whole], DATA, engine=engine)]
    assert [r.train_loss for r in train([larger], DATA, engine=engine)] == expected
