import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from downslope.autoencoders import Corruption, CorruptionKind
from downslope.errors import InputError

KINDS: tuple[CorruptionKind, ...] = ("gaussian", "masking", "salt_and_pepper")
GREY = np.full((400, 50), 0.5, np.float32)


@given(st.sampled_from(KINDS), st.floats(0, 1), st.integers(0, 2**62), st.integers(0, 1000))
def test_noise_repeats_stays_in_range_and_leaves_its_input(
    kind: CorruptionKind, amount: float, seed: int, draw: int
) -> None:
    before = GREY[:3].copy()
    noise = Corruption(kind=kind, amount=amount)
    first = noise.corrupt(before, seed, draw)
    assert np.array_equal(first, noise.corrupt(before, seed, draw))
    assert np.array_equal(before, GREY[:3])
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_draws_and_seeds_are_independent(kind: CorruptionKind) -> None:
    noise = Corruption(kind=kind, amount=0.4)
    drawn = [noise.corrupt(GREY, 1, 1), noise.corrupt(GREY, 1, 2), noise.corrupt(GREY, 2, 1)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(drawn[a].ravel(), drawn[b].ravel())[0, 1]) < 0.03


def test_gaussian_noise_has_its_deviation() -> None:
    added = Corruption(kind="gaussian", amount=0.1).corrupt(GREY, 3, 1) - 0.5
    assert stats.kstest(added.ravel() / 0.1, "norm").pvalue > 0.001


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("masking", 0.3, 0), ("salt_and_pepper", 0.15, 0.15)]
)
def test_shares_are_kept(kind: CorruptionKind, low: float, high: float) -> None:
    made = Corruption(kind=kind, amount=0.3).corrupt(GREY, 3, 1)
    for value, share in ((0, low), (1, high), (0.5, 0.7)):
        assert (made == value).mean() == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize(
    ("kind", "amount"), [("masking", 1.1), ("gaussian", -1.0), ("gaussian", float("nan"))]
)
def test_an_amount_out_of_range_is_refused(kind: CorruptionKind, amount: float) -> None:
    with pytest.raises(InputError, match=f"amount = {amount}"):
        Corruption(kind=kind, amount=amount)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="one of gaussian, masking, salt_and_pepper"):
        Corruption(kind="pink")  # type: ignore[arg-type]
