"""What the compiled engine cannot take is an error of Python, never a crash."""

import numpy as np
import pytest

from downslope import Examples, InputError, Member, NetworkSpec, TrainingSpec, train
from downslope.engines import (
    instruction_set,
    instruction_sets,
)
from downslope.engines.native import make_trainer

ISAS = instruction_sets()


pytestmark = pytest.mark.skipif(not ISAS, reason="the compiled engine was not built")


def test_an_unknown_instruction_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOWNSLOPE_ISA", "sse9")
    with pytest.raises(InputError, match="must be one of"):
        instruction_set()
    with pytest.raises(InputError, match="must be one of"):
        train([member], Examples(x, y))
    monkeypatch.setenv("DOWNSLOPE_ISA", ISAS[-1])
    assert instruction_set() == ISAS[-1]


member = Member(network=NetworkSpec(widths=(3, 2)), training=TrainingSpec(batch_size=2), seed=0)


x, y = np.zeros((4, 3), np.float32), np.zeros(4, np.int64)


rows, rates = np.arange(4), np.ones(2)


@pytest.mark.parametrize(
    "call",
    [
        lambda trainer: trainer.train(x[:, :2].copy(), y, rows, rates),
        lambda trainer: trainer.train(x[:0], y[:0], rows[:0], rates[:0]),
        lambda trainer: trainer.train(x, y[:3], rows, rates),
        lambda trainer: trainer.train(x, y + 2, rows, rates),
        lambda trainer: trainer.train(x, y - 1, rows, rates),
        lambda trainer: trainer.train(x, y, rows + 1, rates),
        lambda trainer: trainer.train(x, y, rows - 1, rates),
        lambda trainer: trainer.train(x, y, rows, rates[:1]),
        lambda trainer: trainer.train(x.astype(np.float64), y, rows, rates),
        lambda trainer: trainer.train(x, y.astype(np.float32), rows, rates),
        lambda trainer: trainer.train(None, y, rows, rates),
        lambda trainer: trainer.evaluate(x[:0], y[:0]),
        lambda trainer: trainer.predict(x[:, :1].copy()),
        lambda trainer: setattr(trainer, "parameters", np.zeros(7, np.float32)),
        lambda trainer: trainer.moment(0),
    ],
)
def test_wrong_arrays_are_a_python_error_never_a_crash(call) -> None:
    trainer = make_trainer(member, ISAS[0])
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        call(trainer)


@pytest.mark.parametrize("widths", [[], [3], [3, 0], [0, 3], [3, -1, 2]])
def test_impossible_widths_are_refused(widths: list[int]) -> None:
    from downslope import _native

    spec = {
        "activation": "relu",
        "batch_norm": False,
        "dropout": 0.0,
        "sigmoid": False,
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
        "decay_all": False,
        "label_smoothing": 0.0,
        "clip_norm": 0.0,
        "batch_size": 4,
        "dropout_seed": 0,
    }
    with pytest.raises(ValueError, match="widths"):
        _native.Member(ISAS[0], widths=widths, **spec)
    with pytest.raises(ValueError, match="unknown"):
        _native.Member("sse9", widths=[3, 2], **spec)


def test_nan_inputs_diverge_and_do_not_crash() -> None:
    bad = np.full((20, 12), np.nan, np.float32)
    rows = Examples(bad, np.zeros(20, np.int64))
    one = Member(network=NetworkSpec(widths=(12, 5, 4)), training=TrainingSpec(), seed=1)
    last = list(train([one], rows, rows, engine="native"))[-1]
    assert last.outcome == "diverged"
    assert last.reason.endswith("no loss was finite")
