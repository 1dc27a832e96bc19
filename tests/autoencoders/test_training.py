from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from downslope.autoencoders import Corruption, train_autoencoders
from downslope.data import Examples
from downslope.engines import EpochRecord, Job, instruction_sets, train, train_member
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec

TRAINING = TrainingSpec(
    loss="mean_squared_error", optimizer="adam", learning_rate=0.01, epochs=3, batch_size=32
)
NOISE = Corruption(kind="gaussian", amount=0.3)


def member(training: TrainingSpec = TRAINING, hidden: tuple[int, ...] = (16, 6, 16)) -> Member:
    network = NetworkSpec(widths=(64, *hidden, 64), output="sigmoid")
    return Member(network=network, training=training, seed=3)


def losses(records: Any) -> list[float]:
    return [r.train_loss for r in records]


def weights(records: list[EpochRecord], index: int = 0) -> np.ndarray:
    (state,) = [r.state for r in records if r.member == index and r.state is not None]
    return np.concatenate([v.ravel() for v in state.values()])


def test_plain_training_is_that_of_the_engine(inputs: np.ndarray) -> None:
    ours = list(train_autoencoders([member()], inputs))
    theirs = list(train([member()], Examples(inputs, inputs)))
    assert losses(ours) == losses(theirs)
    assert np.array_equal(weights(ours), weights(theirs))


def test_a_vanishing_penalty_changes_nothing(inputs: np.ndarray) -> None:
    ours = list(train_autoencoders([member()], inputs, sparsity=1e-30))
    theirs = list(train_member(Job(member=member()), Examples(inputs, inputs)))
    assert losses(ours) == pytest.approx(losses(theirs), rel=1e-5)
    np.testing.assert_allclose(weights(ours), weights(theirs), atol=1e-4)


def test_a_penalty_is_that_of_a_plain_loop(inputs: np.ndarray) -> None:
    torch.manual_seed(3)
    layers = [nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 6), nn.ReLU()]
    layers += [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid()]
    module = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(torch.from_numpy(inputs)), batch_size=32, shuffle=True)
    expected = []
    for _ in range(3):
        total = 0.0
        for (rows,) in loader:
            optimizer.zero_grad()
            codes = module[:4](rows)
            error = nn.functional.mse_loss(module[4:](codes), rows)
            (error + 0.5 * codes.abs().mean()).backward()
            optimizer.step()
            total += error.item() * len(rows)
        expected.append(total / len(inputs))
    ours = list(train_autoencoders([member()], inputs, sparsity=0.5))
    assert losses(ours) == pytest.approx(expected, rel=1e-5)
    plain = list(train_autoencoders([member()], inputs))
    assert losses(ours)[-1] > losses(plain)[-1]


def noisy_oracle(inputs: np.ndarray, seed: int) -> list[float]:
    """A plain loop whose inputs are corrupted anew before each epoch."""
    torch.manual_seed(seed)
    layers = [nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 6), nn.ReLU()]
    layers += [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 64), nn.Sigmoid()]
    module = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    rows = torch.arange(len(inputs))
    loader = DataLoader(rows, batch_size=32, shuffle=True)  # pyright: ignore[reportArgumentType]
    clean, found = torch.from_numpy(inputs), []
    for epoch in (1, 2, 3):
        noisy = torch.from_numpy(NOISE.corrupt(inputs, seed, epoch))
        total = 0.0
        for batch in loader:
            optimizer.zero_grad()
            error = nn.functional.mse_loss(module(noisy[batch]), clean[batch])
            error.backward()
            optimizer.step()
            total += error.item() * len(batch)
        found.append(total / len(inputs))
    return found


def test_noise_is_drawn_anew_for_each_epoch_and_targets_stay_clean(inputs: np.ndarray) -> None:
    ours = losses(train_autoencoders([member()], inputs, noise=NOISE))
    assert ours == pytest.approx(noisy_oracle(inputs, 3), rel=1e-4)


@pytest.mark.parametrize("sparsity", [0.0, 0.1])
def test_schedules_go_on_from_epoch_to_epoch(inputs: np.ndarray, sparsity: float) -> None:
    """Without any effect of the noise, an epoch at a time is the whole training."""
    spec = msgspec.structs.replace(TRAINING, schedule="one_cycle", learning_rate=0.05)
    faint = Corruption(kind="salt_and_pepper", amount=1e-12)
    one = list(train_autoencoders([member(spec)], inputs, noise=faint, sparsity=sparsity))
    whole = list(train_autoencoders([member(spec)], inputs, sparsity=sparsity))
    assert losses(one) == losses(whole)
    assert np.array_equal(weights(one), weights(whole))


def test_neighbours_and_threads_change_no_bit(inputs: np.ndarray) -> None:
    others = [member(hidden=(9, 4, 9)), member(), member(hidden=(30, 6, 30))]
    for kind in ({"noise": NOISE}, {"sparsity": 0.1}, {}):
        alone = list(train_autoencoders([member()], inputs, threads=1, **kind))
        among = list(train_autoencoders(others, inputs, threads=3, **kind))
        assert losses(alone) == losses(r for r in among if r.member == 1)
        assert np.array_equal(weights(alone), weights(among, 1))


@pytest.mark.skipif(not instruction_sets(), reason="the compiled engine is not installed")
def test_noise_trains_on_the_plain_engine_too(
    inputs: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = losses(train_autoencoders([member()], inputs, noise=NOISE))
    monkeypatch.setattr("downslope.engines.runner.choose_engine", lambda *_: "pytorch")
    plain = losses(train_autoencoders([member()], inputs, noise=NOISE))
    assert plain == pytest.approx(native, rel=1e-4)
    assert plain != native


@pytest.mark.parametrize("kind", [{"noise": NOISE}, {"sparsity": 0.1}])
def test_a_diverging_member_is_called_diverged(inputs: np.ndarray, kind: dict[str, Any]) -> None:
    # A sigmoid bounds the error, so only linear outputs can diverge.
    wild = Member(
        network=NetworkSpec(widths=(64, 6, 64), activation="leaky_relu"),
        training=TrainingSpec(loss="mean_squared_error", learning_rate=1e6, epochs=4),
        seed=0,
    )
    records = list(train_autoencoders([wild, member()], inputs, **kind))
    outcomes = {r.member: r.outcome for r in records if r.outcome}
    assert outcomes == {0: "diverged", 1: "completed"}
    assert "epoch 1" in next(r.reason for r in records if r.member == 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sparsity": -1.0}, "sparsity = -1.0"),
        ({"sparsity": float("nan")}, "sparsity = nan"),
    ],
)
def test_a_penalty_out_of_range_is_refused(
    inputs: np.ndarray, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train_autoencoders([member()], inputs, **change)
