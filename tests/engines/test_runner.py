"""A runner trains what is submitted, also while its records are read."""

from typing import Any

import numpy as np
import pytest

from downslope import EpochRecord, Examples, InputError, Member, NetworkSpec, TrainingSpec
from downslope.engines import Engine, Job, Runner, instruction_sets, local_runner, runner, train

DRAW = np.random.default_rng(0)
DATA = Examples(DRAW.random((60, 5), dtype=np.float32), DRAW.integers(0, 3, 60))
ENGINES: list[Engine] = ["pytorch", "native"] if instruction_sets() else ["pytorch"]


def make(seed: int, epochs: int = 4) -> Member:
    training = TrainingSpec(epochs=epochs, batch_size=16, momentum=0.9)
    return Member(network=NetworkSpec(widths=(5, 6, 3)), training=training, seed=seed)


def start(engine: Engine, threads: int = 2, validation: Examples | None = None) -> Runner:
    return local_runner(DATA, validation, threads, engine=engine)


def losses(records: list[EpochRecord], index: int) -> list[float]:
    return [r.train_loss for r in records if r.member == index]


@pytest.fixture(params=[0, 10**9], ids=["processes", "in the caller"])
def worth(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "WORTH_WORKERS", request.param)


@pytest.mark.parametrize("engine", ENGINES)
def test_jobs_may_be_submitted_while_records_are_read(worth: None, engine: Engine) -> None:
    alone = list(train([make(0), make(1)], DATA, engine=engine))
    seen: list[EpochRecord] = []
    with start(engine) as pool:
        for index in (0, 1):
            pool.submit(Job(member=make(index), index=index, until=2))
        for record in pool.records():
            seen.append(record)
            if record.epoch == 2:  # a pause; in its record is what it goes on from
                assert record.outcome is None and record.checkpoint is not None
                pool.submit(
                    Job(
                        member=make(record.member),
                        index=record.member,
                        checkpoint=record.checkpoint,
                    )
                )
    for index in (0, 1):
        assert losses(seen, index) == losses(alone, index)
    assert [r.outcome for r in seen if r.outcome] == ["completed"] * 2


@pytest.mark.parametrize("engine", ENGINES)
def test_the_lowest_priority_starts_first(engine: Engine) -> None:
    with start(engine, threads=1) as pool:
        for index, priority in enumerate([(2.0,), (0.0, 5.0), (0.0, 1.0)]):
            pool.submit(Job(member=make(0, 1), index=index, priority=priority))
        assert [r.member for r in pool.records()] == [2, 1, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_cancelled_yields_nothing_more(engine: Engine) -> None:
    pool = start(engine)
    pool.submit(Job(member=make(0, 10_000)))
    records = pool.records()
    next(records)
    pool.cancel()
    assert list(records) == [] and not pool.ready()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("which", ["training", "validation"])
def test_examples_that_do_not_fit_are_refused_on_submission(engine: Engine, which: str) -> None:
    narrow = Examples(DATA.inputs[:, :4].copy(), DATA.targets)
    data = (narrow, DATA) if which == "training" else (DATA, narrow)
    with local_runner(*data, engine=engine) as pool:
        with pytest.raises(InputError, match="do not fit a network with 5 inputs"):
            pool.submit(Job(member=make(0)))
        assert list(pool.records()) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_an_epoch_may_have_inputs_of_its_own(engine: Engine) -> None:
    """Corrupted by nothing it is the plain training; by a shift that of shifted inputs."""

    def shifted(inputs: Any, seed: int, epoch: int) -> Any:
        assert (seed, inputs is not None) == (3, True)
        return inputs + np.float32(0.25)

    moved = Examples(DATA.inputs + np.float32(0.25), DATA.targets)
    with start(engine) as pool:
        pool.submit(Job(member=make(3), corrupt=shifted))
        ours = list(pool.records())
    assert losses(ours, 0) == losses(list(train([make(3)], moved, engine=engine)), 0)
    assert losses(ours, 0) != losses(list(train([make(3)], DATA, engine=engine)), 0)
