"""The stage as a whole: what a figure needs is there, deterministic, JSON, with honest bands."""

import msgspec
import numpy as np
import pytest

from downslope.errors import InputError
from downslope.progress import Progress, drain
from downslope.theory import ACTIVATIONS, TheoryResult, layer_moments, measure, run_theory
from downslope.theory.run import layer_spreads


@pytest.fixture(scope="module")
def result(digits) -> TheoryResult:
    return drain(run_theory(digits, depth=8, width=96, repetitions=12, examples=64, seed=541))


def test_the_figure_can_be_drawn_from_it_alone(result: TheoryResult):
    assert [(one.initialization, one.layer) for one in result.layers] == [
        (name, layer)
        for name in ("he", "xavier", "lecun", "orthogonal", "pytorch")
        for layer in range(1, 9)
    ]
    for one in result.layers:
        assert 0 < one.forward_low < one.forward_mean < one.forward_high
        assert 0 < one.backward_low < one.backward_mean < one.backward_high
    assert (result.depth, result.width, result.repetitions, result.examples, result.seed) == (
        8,
        96,
        12,
        64,
        541,
    )


def test_bands_mostly_cover_the_prediction(result: TheoryResult):
    """95 % pointwise, but layers of one network are correlated: ask for 85 % of the 80."""
    covered = [
        low <= predicted <= high
        for one in result.layers
        for low, predicted, high in (
            (one.forward_low, one.forward_predicted, one.forward_high),
            (one.backward_low, one.backward_predicted, one.backward_high),
        )
    ]
    assert np.mean(covered) >= 0.85


def test_he_keeps_what_the_others_lose(result: TheoryResult):
    ends = {one.initialization: one for one in result.layers if one.layer == 8}
    starts = {one.initialization: one for one in result.layers if one.layer == 1}
    assert ends["he"].forward_mean / starts["he"].forward_mean == pytest.approx(1, abs=0.5)
    assert ends["xavier"].forward_mean / starts["xavier"].forward_mean < 2**-5
    assert starts["pytorch"].backward_mean / ends["pytorch"].backward_mean < 6**-5


def test_it_survives_json_and_repeats_bitwise(digits, result: TheoryResult):
    encoded = msgspec.json.encode(result)
    assert msgspec.json.decode(encoded, type=TheoryResult) == result
    again = drain(run_theory(digits, depth=8, width=96, repetitions=12, examples=64, seed=541))
    assert msgspec.json.encode(again) == encoded


def test_progress_never_falls_and_ends_full(digits):
    seen: list[Progress] = []
    steps = run_theory(digits, depth=2, width=32, repetitions=3, examples=8, seed=541)
    while True:
        try:
            seen.append(next(steps))
        except StopIteration:
            break
    measuring = [p.done for p in seen if p.task == "measuring initializations"]
    assert measuring == list(range(16))
    assert seen[-1].done == seen[-1].total


def test_bad_arguments_are_refused_at_the_call(digits):
    with pytest.raises(InputError, match="width = 8"):
        run_theory(digits, width=8, seed=541)


def test_means_are_arithmetic(digits):
    he = drain(
        measure(
            digits,
            depth=2,
            width=32,
            initializations=["he"],
            repetitions=5,
            seed=541,
            examples=8,
        )
    )[0]
    assert layer_moments(he)[1].forward_mean == pytest.approx(he.moments.x_second[:, 1].mean())


def test_the_spread_over_networks_is_beside_its_prediction(result: TheoryResult):
    assert [one.layer for one in result.spreads] == list(range(1, 9))
    last = result.spreads[-1]
    assert last.predicted_relative_variance == pytest.approx((1 + 5 / 96) ** 7 * (1 + 2 / 96) - 1)
    assert last.predicted_low < last.predicted_median < 1 < last.predicted_high
    assert last.low < last.median < last.high
    assert result.spreads[0].relative_variance < last.relative_variance


@pytest.mark.slow
def test_the_median_of_deep_narrow_networks_is_far_below_the_mean(digits):
    he = drain(
        measure(
            digits,
            depth=30,
            width=32,
            initializations=["he"],
            repetitions=200,
            seed=541,
            examples=1,
        )
    )[0]
    last = layer_spreads(he)[-1]
    assert last.median < 0.35
    assert last.median == pytest.approx(last.predicted_median, abs=0.1)
    assert last.low == pytest.approx(last.predicted_low, abs=0.05)


def test_gains_edges_and_refutations_are_there(result: TheoryResult):
    assert {gain.activation for gain in result.gains} == set(result.edges) == set(ACTIVATIONS)
    assert result.edges["relu"] == pytest.approx(2) and result.edges["sigmoid"] is None
    assert all(one.breaks for one in result.counterexamples)
    assert all(one.refuted for one in result.mutations)
