"""Pictures are drawn as they are: grey or in colour, with channels last or first."""

from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.report.figures import autoencoder, codes, errors
from downslope.report.figures.answers import draw_mistakes
from downslope.report.figures.drawn import drawn
from downslope.report.images import arrange, is_picture, put, sheet

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def two_halves() -> NDArray[np.float64]:
    """Make a picture of 4 rows and 6 columns, its upper half red and its lower half blue."""
    picture = np.zeros((4, 6, 3))
    picture[:2], picture[2:] = RED, BLUE
    return picture


def shapes(picture: NDArray[np.float64]) -> dict[str, tuple[NDArray[np.float64], tuple[int, ...]]]:
    last, first = picture, np.moveaxis(picture, 2, 0)
    opaque = np.concatenate([picture, np.ones((4, 6, 1))], axis=2)
    return {
        "last": (last.ravel(), last.shape),
        "first": (first.ravel(), first.shape),
        "opacity last": (opaque.ravel(), opaque.shape),
        "opacity first": (np.moveaxis(opaque, 2, 0).ravel(), (4, 4, 6)),
    }


@pytest.mark.parametrize("layout", ["last", "first", "opacity last"])
def test_colour_pictures_are_themselves(layout: str) -> None:
    features, shape = shapes(two_halves())[layout]
    np.testing.assert_array_equal(arrange(features[None], shape)[0], two_halves())


@given(st.integers(5, 9), st.integers(5, 9), st.sampled_from([1, 3, 4]), st.integers(0, 2))
def test_both_layouts_are_one_picture(height: int, width: int, channels: int, many: int) -> None:
    last = np.random.default_rng(0).random((many, height, width, channels))
    first = np.moveaxis(last, -1, 1)
    ways = [
        arrange(one.reshape(many, height * width * channels), one.shape[1:])
        for one in (last, first)
    ]
    np.testing.assert_array_equal(ways[0], ways[1])
    np.testing.assert_array_equal(ways[0], last[..., 0] if channels == 1 else last[..., :3])


@pytest.mark.parametrize("shape", [(12,), (2, 3, 2), (8, 8, 8), (2, 2, 2, 3)])
def test_what_is_no_picture_is_a_strip(shape: tuple[int, ...]) -> None:
    features = np.arange(np.prod(shape), dtype=float)
    assert not is_picture(shape)
    np.testing.assert_array_equal(arrange(features, shape), features[None])


def values(figure: Figure) -> list[NDArray[Any]]:
    found = figure.findobj(matplotlib.image.AxesImage)
    return [np.asarray(image.get_array()) for image in found]  # type: ignore[attr-defined]


def test_mistakes_in_colour_are_drawn_in_the_range_of_all() -> None:
    scaled = np.stack([two_halves() - 0.5, np.full((4, 6, 3), 0.0)])
    figure = draw_mistakes(scaled, ["a", "b"], ["b", "a"], [0.9, 0.8])
    first, second = values(figure)
    np.testing.assert_array_equal(first, two_halves())
    np.testing.assert_array_equal(second, np.full((4, 6, 3), 0.5))
    assert "taken for b, blue" in drawn(figure)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_reconstructions_in_colour(layout: str) -> None:
    features, shape = shapes(two_halves())[layout]
    rows = np.stack([features, features, features])
    arrays = {
        "originals": rows,
        "reconstructions": rows,
        "pca_reconstructions": rows - 0.1,
        "labels": np.zeros(3, np.int64),
    }
    pictures = autoencoder.pictures(arrays, shape, ["a"])
    for image in values(autoencoder.draw_pairs(pictures)):
        np.testing.assert_array_equal(image, two_halves())
    grid = values(autoencoder.draw_grid(pictures))
    np.testing.assert_array_equal(grid[0], two_halves())
    np.testing.assert_allclose(grid[2], np.clip(two_halves() - 0.1, 0, 1))


def test_code_units_in_colour_are_grey_where_nothing_changes() -> None:
    units = np.zeros((2, 4, 6, 3))
    units[0] = two_halves() * 0.4
    first, second = values(codes.draw_units(units))
    np.testing.assert_allclose(first[0, 0], (1.0, 0.5, 0.5))
    np.testing.assert_array_equal(second, np.full((4, 6, 3), 0.5))


def test_errors_of_pixels_are_means_over_colours() -> None:
    own, pca = values(errors.draw_features(np.stack([two_halves(), two_halves() / 2])))
    np.testing.assert_allclose(own, np.full((4, 6), 1 / 3))
    np.testing.assert_allclose(pca, np.full((4, 6), 1 / 6))


def test_maps_and_walks_take_colour() -> None:
    two = np.stack([two_halves(), two_halves()])
    points, labels = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 0])
    codes.draw_map(points, labels, np.array([0, 1]), two, ["a"]).draw_without_rendering()
    walks = codes.draw_walks(np.stack([two]), np.stack([two]))
    for image in values(walks):
        np.testing.assert_array_equal(image, two_halves())


def test_a_grey_picture_keeps_its_levels() -> None:
    figure = Figure()
    image = put(sheet(figure, (0, 0, 1, 1), 1, 1), np.array([[0.0, 0.5]] * 2), (0, 0), "grey")
    assert image.get_clim() == (0, 1)
    np.testing.assert_array_equal(image.get_array(), [[0.0, 0.5]] * 2)
