"""Pictures are drawn as they are: grey or in colour, with channels last or first."""

from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.report.images import arrange, is_picture, picture_frame, pictures_of, put, sheet
from downslope.report.reconstructions import CodeMap, Grid, Pairs, Ranked
from downslope.report.refit import Mistakes

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
    inputs = np.stack([two_halves() - 0.5, np.zeros((4, 6, 3))]).reshape(2, -1)
    answers = {
        "mistakes": np.array([0, 1]),
        "mistake_inputs": inputs,
        "truth": np.array([0, 1]),
        "predictions": np.array([[1, 0]]),
        "confidences": np.array([[0.9, 0.8]]),
    }
    display = Mistakes(answers, ["a", "b"], (4, 6, 3))
    first, second = values(display.plot())
    np.testing.assert_array_equal(first, two_halves())
    np.testing.assert_array_equal(second, np.full((4, 6, 3), 0.5))
    assert {"red", "green", "blue"} == {*display.frame()["channel"]}
    assert {*display.frame()["label"]} == {"a", "b"}


def coder_arrays(features: NDArray[np.float64], count: int) -> dict[str, NDArray[Any]]:
    rows = np.stack([features] * count)
    return {
        "originals": rows,
        "reconstructions": rows,
        "pca_reconstructions": rows - 0.1,
        "labels": np.arange(count) % 2,
        "ranked": rows[None, :2].repeat(3, axis=0),
        "ranked_reconstructions": rows[None, :2].repeat(3, axis=0),
        "ranked_errors": np.arange(6.0).reshape(3, 2),
        "map": np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]),
        "map_labels": np.array([0, 1, 0]),
        "map_pictured": np.array([2]),
        "map_images": rows[:1],
    }


@pytest.mark.parametrize("layout", ["last", "first"])
def test_reconstructions_in_colour(layout: str) -> None:
    features, shape = shapes(two_halves())[layout]
    about = (coder_arrays(features, 6), shape, ["a", "b"])
    for image in values(Pairs(*about).plot()):
        np.testing.assert_array_equal(image, two_halves())
    grid = values(Grid(*about).plot())
    np.testing.assert_array_equal(grid[0], two_halves())
    np.testing.assert_allclose(grid[2], np.clip(two_halves() - 0.1, 0, 1))
    for image in values(Ranked(*about).plot()):
        np.testing.assert_array_equal(image, two_halves())


@pytest.mark.parametrize(("shape", "image"), [((8, 8), (8, 8)), ((64,), (1, 64))])
def test_pictures_have_the_shape_of_the_data(
    shape: tuple[int, ...], image: tuple[int, int]
) -> None:
    features = np.linspace(0, 1, 64).round(2)
    display = Pairs(coder_arrays(features, 4), shape, ["a", "b"])
    pictures = pictures_of(display.frame())
    assert [said["class"] for said, _ in pictures] == ["a", "a", "b", "b"]
    for _, picture in pictures:
        np.testing.assert_array_equal(picture, features.reshape(image))
    titles = [axes.get_title() for axes in display.plot().axes]
    assert titles == ["a: original", "b: original", "a: reconstruction", "b: reconstruction"]


def test_noise_is_shown_before_what_it_becomes_without() -> None:
    arrays = coder_arrays(np.linspace(0, 1, 64), 6)
    arrays["noisy"], arrays["denoised"] = arrays["originals"], arrays["reconstructions"]
    frame = Grid(arrays, (8, 8), ["a", "b"]).frame()
    kinds = ["original", "with noise", "denoised", "autoencoder", "PCA"]
    assert list(dict.fromkeys(frame["kind"])) == kinds


def test_a_map_has_every_example_once_and_some_as_pictures() -> None:
    features, shape = shapes(two_halves())["last"]
    display = CodeMap(coder_arrays(features, 4), shape, ["a", "b"])
    axes = display.plot().axes[0]
    points = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert points == {"a": [[2.0, 0.0], [0.0, 0.0]], "b": [[1.0, 1.0]]}
    assert len(axes.artists) == 1
    display.plot().draw_without_rendering()


def test_a_frame_of_pictures_gives_them_back() -> None:
    pictures = [(("a", 0.5), two_halves()), (("b", None), np.zeros((4, 6, 3)))]
    again = pictures_of(picture_frame(("class", "error"), pictures))
    assert [said for said, _ in again] == [
        {"class": "a", "error": 0.5},
        {"class": "b", "error": None},
    ]
    for (_, picture), (_, expected) in zip(again, pictures, strict=True):
        np.testing.assert_array_equal(picture, expected)


def test_a_grey_picture_keeps_its_levels() -> None:
    figure = Figure()
    image = put(sheet(figure, (0, 0, 1, 1), 1, 1), np.array([[0.0, 0.5]] * 2), (0, 0))
    assert image.get_clim() == (0, 1)
    np.testing.assert_array_equal(image.get_array(), [[0.0, 0.5]] * 2)
