from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.decomposition import PCA
from sklearn.metrics import mean_squared_error as scikit_learns_error

from downslope.data import Dataset, Examples, Scaling
from downslope.engines import predict
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, drain
from downslope.reconstruction import (
    Autoencoder,
    autoencode,
    mean_squared_error,
    shown_examples,
)

UNIT = Scaling(divisor=16)
TRAINING = TrainingSpec(
    loss="mean_squared_error", optimizer="adam", learning_rate=0.01, epochs=3, batch_size=32
)


def member(training: TrainingSpec = TRAINING, hidden: tuple[int, ...] = (16, 6, 16)) -> Member:
    network = NetworkSpec(widths=(64, *hidden, 64), output="sigmoid")
    return Member(network=network, training=training, seed=3)


def run(data: Dataset, one: Member | None = None) -> Autoencoder:
    return drain(autoencode(one or member(), UNIT.apply(data.training), data.test, UNIT))


def held_out(make_digits: Callable[..., Dataset]) -> Examples:
    return UNIT.apply(make_digits().test.open("the oracle"))


def test_the_errors_are_scikit_learns(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    result = run(data).result
    training = UNIT.apply(data.training).inputs
    originals = held_out(make_digits).inputs
    pca = PCA(6, svd_solver="full").fit(training.astype(np.float64))
    linear = pca.inverse_transform(pca.transform(originals.astype(np.float64))).clip(0, 1)
    assert result.pca_test_mse == pytest.approx(scikit_learns_error(originals, linear), rel=1e-4)
    done = run(make_digits())
    decoded = predict(done.result.member.network, done.state, originals)
    assert result.test_mse == pytest.approx(scikit_learns_error(originals, decoded), rel=1e-6)


def test_the_result_describes_the_training(make_digits: Callable[..., Dataset]) -> None:
    result = run(make_digits()).result
    assert (result.outcome, result.code_size) == ("completed", 6)
    assert result.parameters == 65 * 16 + 17 * 6 + 7 * 16 + 17 * 64
    losses = [e.train_loss for e in result.epochs]
    assert [e.epoch for e in result.epochs] == [1, 2, 3]
    assert losses[0] is not None
    assert losses[2] is not None
    assert losses[0] > losses[2] > 0


def test_the_seal_is_opened_once(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    steps = autoencode(member(), UNIT.apply(data.training), data.test, UNIT)
    for progress in steps:
        trained = progress.done > 3
        assert len(data.test.openings) == trained
    assert len(data.test.openings) == 1


def test_shown_rows_are_those_of_the_test_set(make_digits: Callable[..., Dataset]) -> None:
    done = run(make_digits())
    rows = held_out(make_digits)
    shown = done.result.shown
    assert shown[:2] == [0, 1]
    for digit in range(10):
        assert set(np.flatnonzero(rows.targets == digit)[:2]) <= set(shown)
    assert np.array_equal(done.originals, rows.inputs[shown])
    assert np.array_equal(done.labels, rows.targets[shown])
    decoded = predict(done.result.member.network, done.state, rows.inputs)
    assert np.array_equal(done.reconstructions, decoded[shown])
    assert done.pca_reconstructions.shape == done.originals.shape
    assert 0 <= done.pca_reconstructions.min() <= done.pca_reconstructions.max() <= 1


@given(arrays.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 5)), st.integers(1, 3))
def test_examples_are_shown_by_position_alone(labels: np.ndarray, per_class: int) -> None:
    expected = list(range(min(2, len(labels))))
    for value in sorted(set(labels.tolist())):
        expected += [i for i, one in enumerate(labels) if one == value][:per_class]
    assert shown_examples(labels, per_class).tolist() == expected


@given(
    arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
)
def test_the_mean_squared_error_is_scikit_learns(a: np.ndarray, b: np.ndarray) -> None:
    theirs = scikit_learns_error(a.astype(np.float64), b.astype(np.float64))
    assert mean_squared_error(a, b) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    "one",
    [
        Member(network=NetworkSpec(widths=(64, 8, 10)), training=TrainingSpec(), seed=0),
        Member(network=NetworkSpec(widths=(64, 8, 64)), training=TrainingSpec(), seed=0),
        Member(network=NetworkSpec(widths=(64, 8, 63)), training=TRAINING, seed=0),
    ],
    ids=["a classifier", "another loss", "another width"],
)
def test_a_member_that_cannot_reconstruct_is_refused(
    make_digits: Callable[..., Dataset], one: Member
) -> None:
    data = make_digits()
    with pytest.raises(InputError, match="cannot reconstruct"):
        run(data, one)
    assert data.test.openings == ()


@pytest.mark.parametrize("value", [-0.5, 1.5, np.nan, np.inf])
def test_inputs_outside_of_what_a_sigmoid_reaches_are_refused(
    make_digits: Callable[..., Dataset], value: float
) -> None:
    data = make_digits()
    rows = UNIT.apply(data.training)
    rows.inputs[3, 4] = value
    with pytest.raises(InputError, match=r"scaled to \[0, 1\]"):
        drain(autoencode(member(), rows, data.test, UNIT))
    assert data.test.openings == ()


def test_a_diverged_training_is_called_diverged(make_digits: Callable[..., Dataset]) -> None:
    # A sigmoid bounds the error, so only linear outputs can diverge.
    wild = Member(
        network=NetworkSpec(widths=(64, 6, 64), activation="leaky_relu"),
        training=TrainingSpec(loss="mean_squared_error", learning_rate=1e6, epochs=4),
        seed=0,
    )
    done = run(make_digits(), wild)
    assert done.result.outcome == "diverged"
    assert done.result.test_mse is None
    assert len(done.result.epochs) == 1
    assert done.result.epochs[0].train_loss is None
    assert done.result.pca_test_mse > 0
    assert not done.reconstructions.any()


def test_a_training_that_fails_is_called_failed(make_digits: Callable[..., Dataset]) -> None:
    network = NetworkSpec(widths=(64, 6, 64), output="sigmoid", normalization="batch")
    single = TrainingSpec(loss="mean_squared_error", batch_size=199)  # leaves one row over
    done = run(make_digits(), Member(network=network, training=single, seed=0))
    assert (done.result.outcome, done.result.test_mse, done.state) == ("failed", None, {})


def test_a_code_wider_than_the_data_is_allowed(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits(training=20)
    wide = run(data, member(hidden=(64,))).result
    assert wide.code_size == 64
    assert wide.pca_test_mse >= 0


def test_progress_ends_full(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    seen: list[Progress] = list(autoencode(member(), UNIT.apply(data.training), data.test, UNIT))
    assert [p.done for p in seen] == [0, 1, 2, 3, 5]
    assert {p.total for p in seen} == {5}
