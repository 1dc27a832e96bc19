"""Box counting on sets whose dimension is known."""

import numpy as np
import pytest

from downslope.studies.boxes import boundary, dimension

CARPET = np.ones((1, 1), bool)
for _ in range(5):  # Sierpinski's, of which 8 of 9 parts are left at each scale
    hole = np.zeros_like(CARPET)
    rows = [[CARPET] * 3, [CARPET, hole, CARPET], [CARPET] * 3]
    CARPET = np.block(rows)


@pytest.mark.parametrize(
    ("marked", "known"),
    [
        pytest.param(np.eye(243, dtype=bool), 1.0, id="line"),
        pytest.param(np.ones((243, 243), bool), 2.0, id="plane"),
        pytest.param(CARPET, np.log(8) / np.log(3), id="Sierpinski carpet"),
    ],
)
def test_dimensions_are_those_known(marked: np.ndarray, known: float) -> None:
    assert dimension(marked, [1, 3, 9, 27, 81]) == pytest.approx(known, abs=1e-12)


def test_a_smooth_boundary_has_dimension_one() -> None:
    y, x = np.mgrid[:512, :512] / 512
    wave = y < 0.5 + 0.1 * np.sin(7 * x)
    assert dimension(boundary(wave)) == pytest.approx(1, abs=0.03)
    assert np.isnan(dimension(boundary(np.ones((8, 8), bool))))
