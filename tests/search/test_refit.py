from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from downslope.data import Dataset, Examples, Scaling
from downslope.engines import EpochRecord, Runner, local_runner, predict
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import drain
from downslope.search import (
    Refit,
    Settings,
    refit,
)
from downslope.statistics import accuracy_of

PLAIN = Settings(hidden_layers=1, units=12, learning_rate=0.1, epochs=4, batch_size=24)
UNIT = Scaling(divisor=16)


def run(member: Member, seeds: Sequence[int], data: Dataset, **more: Any) -> Refit:
    training = UNIT.apply(data.training)
    return drain(refit(member, seeds, training, data.test, UNIT, threads=1, **more))


def member(settings: Settings = PLAIN) -> Member:
    return settings.member(64, 10, seed=999)


def held_out(make_digits: Callable[..., Dataset]) -> Examples:
    return UNIT.apply(make_digits().test.open("the oracle"))


def test_the_seal_is_opened_once_for_each_seed(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    run(member(), [3, 1, 4], data)
    assert [o.reason for o in data.test.openings] == [
        f"refit: final accuracy of seed {seed}" for seed in (3, 1, 4)
    ]


def test_a_monitored_refit_opens_the_seal_once(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    run(member(), [3, 1], data, monitor_test=True)
    assert [o.reason for o in data.test.openings] == ["refit: accuracy after each epoch"]


def test_a_seed_that_does_not_complete_opens_nothing(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    wild = Settings(hidden_layers=2, activation="leaky_relu", learning_rate=1e6)
    done = run(member(wild), [1, 2], data)
    assert data.test.openings == ()
    assert done.result.test_accuracy is None
    assert (done.states, done.result.confusion) == ({}, [])
    assert len(done.result.stopped) == 2
    assert done.result.stopped[0].startswith("seed 1 diverged: not finite at step ")
    assert done.result.epochs[-1].train_loss is None


def test_the_test_set_stays_sealed_until_the_training_has_ended(
    make_digits: Callable[..., Dataset],
) -> None:
    data = make_digits()
    steps = refit(member(), [1, 2], UNIT.apply(data.training), data.test, UNIT, threads=1)
    for progress in steps:
        assert data.test.openings == ()
        assert progress.done <= progress.total
    assert len(data.test.openings) == 2


def test_accuracy_and_confusion_are_scikit_learns(make_digits: Callable[..., Dataset]) -> None:
    done = run(member(), [5, 6], make_digits())
    rows = held_out(make_digits)
    chosen = {
        seed: predict(done.result.member.network, state, rows.inputs).argmax(1)
        for seed, state in done.states.items()
    }
    found = done.result.test_accuracy
    assert found is not None
    assert found.per_seed == [metrics.accuracy_score(rows.targets, chosen[s]) for s in (5, 6)]
    assert found == accuracy_of(np.array([chosen[s] == rows.targets for s in (5, 6)]))
    assert found.interval_method == "crossed"
    theirs = metrics.confusion_matrix(rows.targets, chosen[5], labels=range(10))
    assert done.result.confusion == theirs.tolist()


def test_a_refit_is_a_plain_torch_loop_to_the_last_20_minibatches(
    make_digits: Callable[..., Dataset],
) -> None:
    data = make_digits()
    done = run(member(), [5], data)
    torch.manual_seed(5)
    module = torch.nn.Sequential(torch.nn.Linear(64, 12), torch.nn.ReLU(), torch.nn.Linear(12, 10))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    training = UNIT.apply(data.training)
    rows = torch.utils.data.TensorDataset(
        torch.from_numpy(training.inputs), torch.from_numpy(training.targets)
    )
    losses: list[float] = []
    means: list[float] = []
    for _ in range(4):
        total = 0.0
        for inputs, targets in torch.utils.data.DataLoader(rows, batch_size=24, shuffle=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            total += losses[-1] * len(targets)
        means.append(total / 200)
    assert len(losses) == 36  # of nine minibatches an epoch, so the last 20 span three epochs
    last = done.result.last_minibatches
    assert [m.step for m in last] == list(range(17, 37))
    assert [m.train_loss for m in last] == pytest.approx(losses[-20:], rel=1e-5)
    assert [e.train_loss for e in done.result.epochs] == pytest.approx(means, rel=1e-5)
    for name, value in module.state_dict().items():
        np.testing.assert_allclose(done.states[5][name], value.numpy(), rtol=1e-4, atol=1e-6)


def test_a_short_training_has_fewer_last_minibatches(make_digits: Callable[..., Dataset]) -> None:
    short = Settings(hidden_layers=1, units=4, epochs=1, batch_size=64)
    last = run(member(short), [1], make_digits()).result.last_minibatches
    assert [m.step for m in last] == [1, 2, 3, 4]


def test_epochs_are_means_over_seeds(make_digits: Callable[..., Dataset]) -> None:
    both = run(member(), [5, 6], make_digits(), monitor_test=True).result
    each = [run(member(), [s], make_digits(), monitor_test=True).result for s in (5, 6)]
    for i, epoch in enumerate(both.epochs):
        alone = [one.epochs[i] for one in each]
        assert epoch.epoch == i + 1
        assert epoch.train_loss_per_seed == [e.train_loss for e in alone]
        assert epoch.train_loss == pytest.approx(np.mean([e.train_loss for e in alone]))
        assert epoch.test_accuracy == pytest.approx(np.mean([e.test_accuracy for e in alone]))


def test_monitoring_changes_nothing_but_the_report(make_digits: Callable[..., Dataset]) -> None:
    seen = run(member(), [5], make_digits(), monitor_test=True)
    unseen = run(member(), [5], make_digits())
    assert seen.result.test_accuracy is not None
    assert seen.result.test_accuracy == unseen.result.test_accuracy
    assert seen.result.epochs[-1].test_accuracy == seen.result.test_accuracy.mean
    assert [e.test_accuracy for e in unseen.result.epochs] == [None] * 4
    for name, value in unseen.states[5].items():
        assert np.array_equal(seen.states[5][name], value)


def test_snapshots_are_kept_of_the_first_seed_alone(make_digits: Callable[..., Dataset]) -> None:
    done = run(member(), [5, 6], make_digits(), snapshots_per_epoch=3)
    assert [s.step for s in done.snapshots] == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36]
    last = np.concatenate([v.ravel() for v in done.states[5].values()])
    assert np.array_equal(done.snapshots[-1].parameters, last)


def test_the_own_seed_of_the_member_is_replaced(make_digits: Callable[..., Dataset]) -> None:
    result = run(member(), [5, 6], make_digits()).result
    assert (result.member.seed, result.seeds, result.examples) == (5, [5, 6], 200)


def test_where_one_seed_fails_the_others_are_stated(
    make_digits: Callable[..., Dataset],
) -> None:
    made: list[Runner] = []

    def one_fails(*arguments: Any) -> Runner:
        runner = local_runner(*arguments)
        original = runner.records

        def records() -> Iterator[EpochRecord]:
            yield from (r for r in original() if r.member == 1)
            yield EpochRecord(member=0, epoch=0, step=0, outcome="failed", reason="no memory")

        if not made:  # then the path of the seed that completed, once more
            runner.records = records
        made.append(runner)
        return runner

    data = make_digits()
    done = run(member(), [5, 6], data, snapshots_per_epoch=2, make_runner=one_fails)
    result = done.result
    assert result.stopped == ["seed 5 failed: no memory"]
    assert result.test_accuracy is not None
    assert len(result.test_accuracy.per_seed) == 1
    # The path is that of the seed that completed, as if it had been the first.
    alone = run(member(), [6], make_digits(), snapshots_per_epoch=2)
    assert result.member == alone.result.member
    assert result.last_minibatches == alone.result.last_minibatches
    assert len(done.snapshots) == len(alone.snapshots) > 0
    for own, other in zip(done.snapshots, alone.snapshots, strict=True):
        assert np.array_equal(own.parameters, other.parameters)
    assert [o.reason for o in data.test.openings] == ["refit: final accuracy of seed 6"]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_no_seed_or_one_twice_is_refused_with_the_seal_whole(
    make_digits: Callable[..., Dataset], seeds: list[int]
) -> None:
    data = make_digits()
    with pytest.raises(InputError, match="refit: seeds"):
        run(member(), seeds, data, monitor_test=True)
    assert data.test.openings == ()
