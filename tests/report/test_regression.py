"""What a report says of numbers that are predicted."""

import numpy as np
from scipy.stats import pearsonr

from downslope.report.regression import Predictions, Residuals


def test_points_are_those_of_the_test_examples() -> None:
    truth = np.random.default_rng(0).normal(size=30)
    predictions = truth + 0.1
    points = Predictions(predictions, truth, "price")
    np.testing.assert_array_equal(points.frame().numbers("truth"), truth)
    np.testing.assert_array_equal(points.frame().numbers("prediction"), predictions)
    residuals = Residuals(predictions, truth, "price")
    np.testing.assert_allclose(residuals.frame().numbers("residual"), 0.1)
    for display in (points, residuals):
        drawn = display.plot().axes[0].lines[0].get_xydata()
        np.testing.assert_array_equal(drawn, display.frame().rows)
    correlation = pearsonr(truth, predictions).statistic
    assert f"correlation is {correlation:.3f}" in points.alt


def test_a_network_that_always_says_the_same_is_described() -> None:
    assert Predictions([1.0, 1.0], [1.0, 2.0], "y").alt == "Predictions against the truth."
