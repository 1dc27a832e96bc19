import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss
from torch.nn.functional import cross_entropy

from downslope.data import Examples
from downslope.progress import drain
from downslope.search import Settings, search
from downslope.search.baseline import ChanceLevel


def test_guesses_are_scikit_learns() -> None:
    targets = np.array([0] * 5 + [1] * 3 + [2] * 2)
    rows = np.zeros((10, 1), np.float32)
    chance = ChanceLevel.of(Examples(rows, targets), 3)
    assert chance.accuracy == DummyClassifier(strategy="prior").fit(rows, targets).score(
        rows, targets
    )
    even = np.full((10, 3), 1 / 3)
    assert chance.loss == pytest.approx(log_loss(targets, even))


def test_smoothed_labels_leave_an_even_guess_s_loss_as_it_is() -> None:
    logits, targets = torch.zeros(10, 4), torch.tensor([0] * 9 + [1])
    smoothed = cross_entropy(logits, targets, label_smoothing=0.3)
    assert ChanceLevel.of(Examples(logits.numpy(), targets.numpy()), 4).loss == pytest.approx(
        float(smoothed)
    )


@pytest.mark.parametrize(
    ("loss", "accuracy", "lost"),
    [
        (1e9, 0.1, True),
        (5.0, 0.1, True),
        (2.31, 0.1, False),  # learnt nothing, and lost nothing: a tiny learning rate
        (4.0, 0.1, False),
        (1e9, 0.8, False),  # overconfident, and mostly right
        (1e9, None, False),
    ],
)
def test_lost_is_far_above_a_guess_and_no_better_than_it(
    loss: float, accuracy: float | None, lost: bool
) -> None:
    chance = ChanceLevel(loss=math.log(10), accuracy=0.1)
    assert bool(chance.degeneracy(3, [loss], accuracy)) == lost


@pytest.mark.parametrize(("accuracy", "lost"), [(1.0, False), (0.99, False), (0.97, True)])
def test_where_one_class_is_nearly_all_half_its_errors_tell(accuracy: float, lost: bool) -> None:
    assert bool(ChanceLevel(loss=math.log(2), accuracy=0.97).degeneracy(3, [5.0], accuracy)) == lost


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("rate", [1e-4, 0.05])
def test_one_large_class_is_no_divergence(smoothing: float, rate: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    targets = (np.arange(400) < 12).astype(np.int64)
    rows = rng.normal(size=(400, 3)).astype(np.float32)
    rows[targets == 1, 0] += 12
    settings = Settings(
        hidden_layers=1, units=8, epochs=20, learning_rate=rate, label_smoothing=smoothing
    )
    examples = Examples(rows, targets)
    steps = search([settings], examples, examples, classes=2, seed=1, store=tmp_path / "t.sqlite")
    assert [(t.outcome, t.reason) for t in drain(steps).trials] == [("completed", "")]


def test_numbers_are_lost_far_above_the_error_of_their_mean() -> None:
    targets = np.array([[0.0], [4.0], [0.0], [4.0]], np.float32)
    chance = ChanceLevel.of(Examples(np.zeros((4, 2), np.float32), targets), 1)
    assert chance.loss == targets.var()
    assert chance.degeneracy(3, [7.9], None) == ""
    assert "that of always predicting the mean 4" in chance.degeneracy(3, [8.1], None)
    same = ChanceLevel.of(Examples(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)), 2)
    assert same.degeneracy(3, [1e9], None) == ""


def test_a_network_that_died_at_an_absurd_rate_has_diverged(
    scaled: Examples, tmp_path: Path
) -> None:
    # Clipped steps of a huge rate: weights grow large and stay finite.
    dead = Settings(
        hidden_layers=2, units=8, learning_rate=3e4, clip_norm=1.0, epochs=3, batch_size=20
    )
    slow = Settings(hidden_layers=2, units=8, learning_rate=1e-7, epochs=3)
    training, validation = scaled.take(np.arange(160)), scaled.take(np.arange(160, 200))
    found = drain(
        search([dead, slow], training, validation, classes=10, seed=3, store=tmp_path / "t.sqlite")
    )
    lost, unlearned = found.trials
    assert lost.outcome == "diverged"
    assert lost.reason.startswith("finite but lost: after epoch 3 the loss is ")
    assert lost.train_loss is not None and lost.train_loss > 10
    assert unlearned.outcome == "completed"
    assert found.best == unlearned
