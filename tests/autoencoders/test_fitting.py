import numpy as np
import pytest
from sklearn.decomposition import PCA

from downslope.autoencoders import Corruption, fit_autoencoder
from downslope.errors import InputError
from downslope.networks import TrainingSpec
from downslope.progress import drain

FAST = TrainingSpec(
    loss="mean_squared_error", optimizer="adam", learning_rate=0.02, schedule="one_cycle",
    batch_size=32, epochs=60,
)  # fmt: skip


def test_a_curve_is_learned_better_than_by_components() -> None:
    """Points on a curve through twelve dimensions have one coordinate, which no plane holds."""
    t = np.random.default_rng(0).uniform(-1, 1, (1000, 1))
    raw = np.sin(t * np.linspace(1, 12, 12) + np.arange(12))
    coder = drain(fit_autoencoder(raw, hidden=(64, 4, 64), training=FAST, seed=2))
    pca = PCA(4).fit(raw)
    linear = np.square(raw - pca.inverse_transform(pca.transform(raw))).mean()
    ours = np.square(raw - coder.reconstruct(raw)).mean()
    assert ours < linear / 4


def test_units_and_shapes_are_those_of_the_arrays() -> None:
    generator = np.random.default_rng(0)
    quick = TrainingSpec(loss="mean_squared_error", optimizer="adam", epochs=1)
    grey = generator.integers(0, 256, (40, 3, 5)).astype(np.uint8)
    table = generator.normal(50, 10, (40, 6))
    unit = generator.random((40, 6))
    for raw, divisor in ((grey, 255.0), (table, 1.0), (unit, 1.0)):
        coder = drain(fit_autoencoder(raw, hidden=(4, 2, 4), training=quick))
        assert coder.scaling.divisor == divisor
        assert coder.reconstruct(raw).shape == raw.shape
        scaled = coder.scale(raw)
        assert -1e-5 <= scaled.min() <= scaled.max() <= 1 + 1e-5
    assert coder.scaling.spread == 1.0


def test_the_same_seed_gives_the_same_bytes() -> None:
    raw = np.random.default_rng(1).random((50, 6))
    made = [
        drain(fit_autoencoder(raw, hidden=(4,), seed=s, threads=t, noise=Corruption(amount=0.1)))
        for s, t in ((1, 1), (1, 2), (2, 1))
    ]
    assert made[0].to_bytes() == made[1].to_bytes() != made[2].to_bytes()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (np.zeros(5), "nothing to learn from"),
        (np.zeros((0, 5)), "nothing to learn from"),
        (np.array([["a", "b"]]), "nothing to learn from"),
        (np.array([[0.0, np.nan]]), "row 0, column 1"),
    ],
)
def test_arrays_without_numbers_are_refused(raw: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        drain(fit_autoencoder(raw))


def test_settings_that_cannot_reconstruct_are_refused() -> None:
    with pytest.raises(InputError, match="needs a hidden layer"):
        drain(fit_autoencoder(np.eye(4), hidden=()))
    with pytest.raises(InputError, match=r"Member: network\.output"):
        drain(fit_autoencoder(np.eye(4), training=TrainingSpec(loss="cross_entropy")))
