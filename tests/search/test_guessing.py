import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss

from downslope.data import Examples
from downslope.progress import drain
from downslope.search import Settings, TrialEpoch, search
from downslope.search.guessing import Guess


def test_a_guess_is_scikit_learns_prior() -> None:
    targets = np.array([0] * 5 + [1] * 3 + [3] * 2)
    rows = np.zeros((10, 1), np.float32)
    prior = DummyClassifier(strategy="prior").fit(rows, targets)
    guess = Guess.of(Examples(rows, targets))
    assert guess.accuracy == prior.score(rows, targets)
    assert guess.loss == pytest.approx(log_loss(targets, prior.predict_proba(rows)))


def last(loss: float, accuracy: float | None) -> TrialEpoch:
    return TrialEpoch(epoch=3, train_loss=loss, validation_loss=loss, validation_accuracy=accuracy)


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
    guess = Guess(loss=math.log(10), accuracy=0.1)
    assert bool(guess.lost(last(loss, accuracy))) == lost


def test_what_has_no_classes_is_never_lost() -> None:
    guess = Guess.of(Examples(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)))
    assert guess.lost(last(1e9, 0.0)) == ""


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
