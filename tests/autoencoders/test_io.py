import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downslope.autoencoders import (
    Autoencoder,
    open_autoencoder,
    read_array,
    read_examples,
    write_array,
    write_sheet,
)
from downslope.errors import InputError


def png(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_images_are_read_in_the_units_of_the_data(coder: Autoencoder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8)).astype(np.uint8)
    paths = [png(tmp_path / f"{i}.png", p) for i, p in enumerate(pixels)]
    rows = read_examples(paths, coder)
    np.testing.assert_allclose(rows, pixels * (16 / 255), rtol=1e-6)
    colour = np.repeat(pixels[0][..., None], 3, axis=2)
    np.testing.assert_allclose(read_examples([png(tmp_path / "c.png", colour)], coder)[0], rows[0])


def test_arrays_go_there_and_back(coder: Autoencoder, tmp_path: Path, inputs: np.ndarray) -> None:
    raw = (inputs * 16).astype(np.uint8)
    write_array(tmp_path / "x.npy", raw)
    assert np.array_equal(read_examples([tmp_path / "x.npy"], coder), raw)
    write_array(tmp_path / "one.npy", raw[0].reshape(8, 8))
    assert read_examples([tmp_path / "one.npy"], coder).shape == (1, 8, 8)
    write_array(tmp_path / "codes.npy", coder.encode(raw))
    assert np.array_equal(read_array(tmp_path / "codes.npy"), coder.encode(raw))


def test_a_sheet_shows_originals_above_reconstructions(coder: Autoencoder, tmp_path: Path) -> None:
    above = np.arange(30 * 64).reshape(30, 8, 8) % 17
    below = 16 - above
    write_sheet(tmp_path / "s.png", [above, below], coder)
    sheet = np.asarray(Image.open(tmp_path / "s.png")).astype(int)
    assert sheet.shape == (2 * (2 * 10 + 2), 20 * 10 + 2)  # two bands of 20 columns
    grey = np.rint(255 * above / 16).astype(int)
    assert np.array_equal(sheet[2:10, 2:10], grey[0])
    assert np.array_equal(sheet[12:20, 12:20], np.rint(255 * below[1] / 16))
    assert np.array_equal(sheet[24:32, 92:100], grey[29])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.png", b"not an image", "cannot be read as an image"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cannot be read as an image"),
        ("x.gif", b"GIF89a", "no .npy and no image"),
        ("x.npy", b"\x80\x04.", "pickle"),
    ],
)
def test_what_cannot_be_read_is_refused(
    coder: Autoencoder, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_examples([tmp_path / name], coder)


def test_no_rows_and_several_arrays_are_refused(coder: Autoencoder, tmp_path: Path) -> None:
    write_array(tmp_path / "x.npy", np.zeros((0, 64)))
    with pytest.raises(InputError, match=r"x.npy: holds nothing \(shape \(0, 64\)\)"):
        read_examples([tmp_path / "x.npy"], coder)
    with pytest.raises(InputError, match="holds nothing"):
        read_array(tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"a \.npy is given alone"):
        read_examples([tmp_path / "x.npy"] * 2, coder)


def test_a_cut_image_is_refused(coder: Autoencoder, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue()[:60])
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_examples([tmp_path / "x.png"], coder)


def test_an_image_of_another_size_is_refused(coder: Autoencoder, tmp_path: Path) -> None:
    path = png(tmp_path / "x.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(InputError, match="is 8 x 9 pixels, width first; it must be 8 x 8"):
        read_examples([path], coder)


def test_sheets_have_limits(coder: Autoencoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a sheet of 401"):
        write_sheet(tmp_path / "s.png", [np.zeros((401, 8, 8))], coder)
    flat = Autoencoder(coder.network, coder.state, coder.scaling, (64,))
    with pytest.raises(InputError, match="no grey images"):
        write_sheet(tmp_path / "s.png", [np.zeros((1, 64))], flat)
    assert not list(tmp_path.iterdir())


def test_an_autoencoder_is_opened_from_file_or_run(coder: Autoencoder, tmp_path: Path) -> None:
    (tmp_path / "autoencoder").mkdir()
    path = tmp_path / "autoencoder" / "weights.safetensors"
    with pytest.raises(InputError, match="holds no autoencoder"):
        open_autoencoder(tmp_path)
    path.write_bytes(coder.to_bytes())
    for where in (tmp_path, path):
        assert open_autoencoder(where).network == coder.network
    path.write_bytes(coder.to_bytes()[:-1])
    with pytest.raises(InputError, match=r"weights\.safetensors: holds no autoencoder"):
        open_autoencoder(tmp_path)
