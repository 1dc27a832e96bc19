from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.decomposition import PCA
from sklearn.metrics import mean_squared_error as scikit_learns_error

from downslope.autoencoders import (
    AutoencoderComparison,
    Corruption,
    LinearCodes,
    autoencode,
    shown_examples,
    squared_errors,
)
from downslope.data import Dataset, Examples, Scaling, SealedTestSet
from downslope.engines import EpochRecord, predict, run_jobs
from downslope.errors import InputError
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.progress import Progress, drain

UNIT = Scaling(divisor=16)
TRAINING = TrainingSpec(
    loss="mean_squared_error", optimizer="adam", learning_rate=0.01, epochs=3, batch_size=32
)


def member(training: TrainingSpec = TRAINING, hidden: tuple[int, ...] = (16, 6, 16)) -> Member:
    network = NetworkSpec(widths=(64, *hidden, 64), output="sigmoid")
    return Member(network=network, training=training, seed=3)


def run(data: Dataset, one: Member | None = None, **more: Any) -> AutoencoderComparison:
    return drain(autoencode(one or member(), UNIT.apply(data.training), data.test, UNIT, **more))


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
    assert done.autoencoder is not None
    decoded = predict(done.result.member.network, done.autoencoder.state, originals)
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
        trained = "training error" not in progress.note and progress.done > 0
        assert len(data.test.openings) == trained
    assert len(data.test.openings) == 1


def test_shown_rows_are_those_of_the_test_set(make_digits: Callable[..., Dataset]) -> None:
    done = run(make_digits())
    rows = held_out(make_digits)
    shown = done.result.shown
    assert shown[:2] == [0, 1]
    for digit in range(10):
        assert set(np.flatnonzero(rows.targets == digit)[:2]) <= set(shown)
    assert np.array_equal(done.arrays["originals"], rows.inputs[shown])
    assert np.array_equal(done.arrays["labels"], rows.targets[shown])
    assert done.autoencoder is not None
    decoded = predict(done.result.member.network, done.autoencoder.state, rows.inputs)
    np.testing.assert_allclose(done.arrays["reconstructions"], decoded[shown], atol=1e-6)
    linear = done.arrays["pca_reconstructions"]
    assert linear.shape == done.arrays["originals"].shape
    assert 0 <= linear.min() <= linear.max() <= 1


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
def test_squared_errors_have_scikit_learns_mean(a: np.ndarray, b: np.ndarray) -> None:
    theirs = scikit_learns_error(a.astype(np.float64), b.astype(np.float64))
    assert squared_errors(a, b).mean() == pytest.approx(theirs, rel=1e-12)


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
    assert not done.arrays["reconstructions"].any()


def test_a_training_that_fails_is_called_failed(
    make_digits: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Iterator[EpochRecord]:
        for record in run_jobs(*arguments, **options):
            lost = {"outcome": "failed", "reason": "no memory", "state": None}
            yield msgspec.structs.replace(record, **lost) if record.outcome else record

    monkeypatch.setattr("downslope.autoencoders.training.run_jobs", fail)
    done = run(make_digits())
    assert (done.result.outcome, done.result.test_mse, done.autoencoder) == ("failed", None, None)


def test_a_code_wider_than_the_data_is_allowed(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits(training=20)
    wide = run(data, member(hidden=(64,))).result
    assert wide.code_size == 64
    assert wide.pca_test_mse >= 0


def test_progress_ends_full(make_digits: Callable[..., Dataset]) -> None:
    data = make_digits()
    seen: list[Progress] = list(autoencode(member(), UNIT.apply(data.training), data.test, UNIT))
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert (done[0], done[-1], len({p.total for p in seen})) == (0, seen[0].total, 1)


def test_several_seeds_are_averaged_and_each_is_told(make_digits: Callable[..., Dataset]) -> None:
    done = run(make_digits(), seeds=[3, 9]).result
    alone = [run(make_digits(), seeds=[seed]).result for seed in (3, 9)]
    assert done.seeds == [3, 9]
    assert done.test_mses == [one.test_mse for one in alone]
    assert done.test_mse == pytest.approx(np.mean([one.test_mse for one in alone]))
    assert done.last_losses == [one.epochs[-1].train_loss for one in alone]
    assert done.first_losses == [one.epochs[0].train_loss for one in alone]
    assert done.epochs == alone[0].epochs
    with pytest.raises(InputError, match="each once"):
        run(make_digits(), seeds=[3, 3])


def test_ablations_are_trained_beside_it_and_do_not_change_it(
    make_digits: Callable[..., Dataset],
) -> None:
    plain = run(make_digits())
    done = run(make_digits(), code_sizes=[2, 6, 70], shapes=[[6], [20, 6, 20]])
    ablations = done.result.ablations
    assert [(r.kind, r.network) for r in ablations] == [
        ("code size", "64-16-2-16-64"),
        ("code size", "64-16-70-16-64"),
        ("shape", "64-6-64"),
        ("shape", "64-20-6-20-64"),
    ]
    assert ablations[0].parameters == 65 * 16 + 17 * 2 + 3 * 16 + 17 * 64
    assert [r.code_size for r in ablations] == [2, 16, 6, 6]
    training, held = UNIT.apply(make_digits().training).inputs, held_out(make_digits).inputs
    for ablation in ablations:
        pca = PCA(ablation.code_size).fit(training.astype(np.float64))
        linear = pca.inverse_transform(pca.transform(held.astype(np.float64))).clip(0, 1)
        assert ablation.pca_test_mse == pytest.approx(scikit_learns_error(held, linear), rel=1e-4)
        assert ablation.outcome == "completed"
        assert ablation.test_mse is not None
    assert done.result.test_mse == plain.result.test_mse
    assert np.array_equal(done.arrays["map"], plain.arrays["map"])


def test_errors_by_class_feature_and_rank_agree_with_the_whole(
    make_digits: Callable[..., Dataset],
) -> None:
    done = run(make_digits())
    held = held_out(make_digits)
    assert done.autoencoder is not None
    decoded = predict(done.result.member.network, done.autoencoder.state, held.inputs)
    errors = np.square(decoded.astype(float) - held.inputs).mean(1)
    for digit, error in enumerate(done.result.class_mses):
        assert error == pytest.approx(errors[held.targets == digit].mean(), rel=1e-5)
    features = done.arrays["feature_mses"]
    assert features.shape == (2, 64)
    assert features.mean(1).tolist() == pytest.approx(
        [done.result.test_mse, done.result.pca_test_mse], rel=1e-6
    )
    best, middle, worst = done.arrays["ranked_errors"]
    ordered = np.sort(errors)
    np.testing.assert_allclose(best, ordered[:8], rtol=1e-4)
    np.testing.assert_allclose(worst, ordered[::-1][:8], rtol=1e-4)
    assert middle[0] <= np.median(errors) <= middle[-1]
    assert done.arrays["ranked"].shape == (3, 8, 64)


def test_activity_counts_units_that_never_fire(make_digits: Callable[..., Dataset]) -> None:
    done = run(make_digits())
    assert done.autoencoder is not None
    codes = done.autoencoder.encode_scaled(held_out(make_digits).inputs)
    assert done.result.active == pytest.approx(np.count_nonzero(codes) / codes.size)
    assert done.result.dead == sum(not unit.any() for unit in codes.T) > 0


def test_pictures_of_codes_have_their_shapes(make_digits: Callable[..., Dataset]) -> None:
    done = run(make_digits())
    arrays = done.arrays
    assert arrays["units"].shape == (6, 64)
    assert arrays["map"].shape == (60, 2)
    assert arrays["walks"].shape == (4, 9, 64)
    ends = arrays["walk_ends"]
    assert done.autoencoder is not None
    network, state = done.autoencoder.network, done.autoencoder.state
    for walk, (first, last) in zip(arrays["walks"], ends, strict=True):
        expected = predict(network, state, np.stack([first, last]))
        np.testing.assert_allclose(walk[[0, -1]], expected, atol=1e-5)
    chosen = arrays["map_pictured"]
    held = held_out(make_digits)
    assert np.array_equal(arrays["map_images"], held.inputs[chosen])
    assert [p.features for p in done.result.probes] == ["code", "components", "inputs"]
    assert [p.size for p in done.result.probes] == [6, 6, 64]
    assert all(0.1 < p.accuracy <= 1 for p in done.result.probes)


def test_denoising_is_measured_on_noisy_test_inputs(make_digits: Callable[..., Dataset]) -> None:
    noise = Corruption(kind="masking", amount=0.5)
    done = run(make_digits(), noise=noise)
    held = held_out(make_digits).inputs
    noisy = noise.corrupt(held, 3, 0)
    assert done.autoencoder is not None
    decoded = predict(done.result.member.network, done.autoencoder.state, noisy)
    assert done.result.noisy_test_mse == pytest.approx(scikit_learns_error(held, decoded), rel=1e-5)
    training = UNIT.apply(make_digits().training).inputs
    linear = LinearCodes.fit(training).reconstruct(noisy, 6)
    assert done.result.pca_noisy_test_mse == pytest.approx(
        scikit_learns_error(held, linear), rel=1e-5
    )
    assert np.array_equal(done.arrays["noisy"], noisy[done.result.shown])
    plain = run(make_digits())
    assert plain.result.noisy_test_mse is None
    assert "noisy" not in plain.arrays


def test_a_penalty_makes_codes_smaller(make_digits: Callable[..., Dataset]) -> None:
    held = held_out(make_digits).inputs * 16
    plain, sparse = (run(make_digits(), sparsity=s) for s in (0.0, 1.0))
    sizes = [np.abs(d.autoencoder.encode(held)).mean() for d in (plain, sparse) if d.autoencoder]
    assert sizes[1] < sizes[0] / 2
    assert sparse.result.sparsity == 1.0


def test_one_of_two_seeds_may_diverge() -> None:
    # Linear outputs at a rate on the edge: some seeds diverge, some do not.
    rows = np.random.default_rng(0).random((40, 9), np.float32)
    data = Examples(rows, np.arange(40) % 2)
    network = NetworkSpec(widths=(9, 5, 9), activation="leaky_relu")
    for rate in (20.0, 40.0, 60.0, 80.0, 100.0, 150.0):
        spec = TrainingSpec(loss="mean_squared_error", learning_rate=rate, epochs=3, batch_size=20)
        one = Member(network=network, training=spec, seed=0)
        steps = autoencode(one, data, SealedTestSet(data), Scaling(), seeds=list(range(12)))
        done = drain(steps).result
        lost = [error is None for error in done.test_mses]
        if any(lost) and not all(lost):
            break
    else:
        pytest.fail("no rate at which seeds differ")
    assert done.outcome == "completed"
    assert len(done.stopped) == sum(lost)
    assert all("not finite" in line for line in done.stopped)
    left = [error for error in done.test_mses if error is not None]
    assert done.test_mse == pytest.approx(np.mean(left))
