import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from downslope.autoencoders import (
    Autoencoder,
    farthest_points,
    interpolate,
    map_codes,
    probe,
    ranked_examples,
    unit_pictures,
)
from downslope.engines import predict


def test_a_map_keeps_neighbours_and_repeats() -> None:
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 8, (4, 10))
    codes = (centres.repeat(20, 0) + generator.normal(0, 1, (80, 10))).astype(np.float32)
    made = map_codes(codes, seed=1)
    assert made.shape == (80, 2)
    assert trustworthiness(codes, made, n_neighbors=5) > 0.9
    assert np.array_equal(made, map_codes(codes, seed=1))
    codes[:, :2] = 0  # two dead units in front
    assert trustworthiness(codes, map_codes(codes, seed=1), n_neighbors=5) > 0.9


@pytest.mark.parametrize("codes", [np.zeros((30, 4), np.float32), np.ones((3, 4), np.float32)])
def test_codes_that_cannot_be_told_apart_lie_on_one_point(codes: np.ndarray) -> None:
    assert not map_codes(codes, 0).any()


def test_a_code_of_one_unit_has_a_map() -> None:
    codes = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    assert np.isfinite(map_codes(codes, 0)).all()


def test_spread_points_are_different_ones() -> None:
    points = np.zeros((5, 2), np.float32)
    assert sorted(farthest_points(points, 9).tolist()) == [0, 1, 2, 3, 4]


def test_a_unit_draws_its_change(coder: Autoencoder, inputs: np.ndarray) -> None:
    codes = coder.encode_scaled(inputs)
    codes[:, 2] = 0.25  # never varies
    drawn = unit_pictures(coder, codes)
    assert drawn.shape == (6, 64)
    assert not drawn[2].any()
    middle = codes.mean(0)
    turned = middle.copy()
    turned[4] = np.percentile(codes[:, 4], 99)
    expected = coder.decode_scaled(turned[None]) - coder.decode_scaled(middle[None])
    np.testing.assert_allclose(drawn[4], expected[0], atol=1e-6)


def test_a_walk_begins_and_ends_at_the_reconstructions(
    coder: Autoencoder, inputs: np.ndarray
) -> None:
    walk = interpolate(coder, inputs[0], inputs[1], steps=5)
    ends = predict(coder.network, coder.state, inputs[:2])
    np.testing.assert_allclose(walk[[0, -1]], ends, atol=1e-6)
    middle = coder.encode_scaled(inputs[:2]).mean(0)[None]
    np.testing.assert_allclose(walk[2], coder.decode_scaled(middle)[0], atol=1e-6)


def test_ranks_do_not_ask_for_more_than_there_are() -> None:
    assert ranked_examples(np.array([0.2, 0.1]), 8).tolist() == [[1, 0], [1, 0], [0, 1]]


def test_a_probe_reads_what_is_linear_and_no_more() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(900, 2)).astype(np.float32)
    linear = (rows @ [1.0, -2.0] > 0).astype(np.int64)
    exclusive = ((rows[:, 0] > 0) ^ (rows[:, 1] > 0)).astype(np.int64)
    assert probe("code", rows[:600], linear[:600], rows[600:], linear[600:]).accuracy > 0.97
    assert probe("code", rows[:600], exclusive[:600], rows[600:], exclusive[600:]).accuracy < 0.65
