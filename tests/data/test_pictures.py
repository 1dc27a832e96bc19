from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downslope.data import load, load_steps, pictures
from downslope.data.pictures import read_new_pictures
from downslope.errors import InputError
from downslope.progress import drain

CLASSES = ("10", "9", "cat")


def put(folder: Path, per_class: int = 10, *, mode: str = "L", ending: str = "png", side: int = 8):
    """Write pictures of CLASSES, and return their paths by class in the order of their names."""
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            shape = (side, side + 2) if mode == "L" else (side, side + 2, len(mode))
            pixels = draw.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels, mode).save(folder / name / f"{i:03}.{ending}")
    return {name: sorted((folder / name).iterdir()) for name in CLASSES}


def rows_of(paths, mode: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read pictures with Pillow alone."""
    found = []
    for path in paths:
        image = Image.open(path).convert(mode)
        found.append(np.asarray(image if size is None else image.resize(size[::-1], 2)))
    return np.stack(found).reshape(len(found), -1)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pixels_and_classes_are_pillow_s(tmp_path: Path, mode: str, ending: str):
    training = put(tmp_path / "train", mode=mode, ending=ending)
    test = put(tmp_path / "Test", 4, mode=mode, ending=ending)
    dataset = load(tmp_path)
    assert dataset.class_names == CLASSES
    assert dataset.shape == ((8, 10) if mode == "L" else (8, 10, 3))
    assert (dataset.max_pixel, dataset.task) == (255.0, "classification")
    paths = [path for name in CLASSES for path in training[name]]
    np.testing.assert_array_equal(dataset.training.inputs, rows_of(paths, mode))
    np.testing.assert_array_equal(dataset.training.targets, np.repeat([0, 1, 2], 10))
    opened = dataset.test.open("comparison")
    paths = [path for name in CLASSES for path in test[name]]
    np.testing.assert_array_equal(opened.inputs, rows_of(paths, mode))


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_folders_without_parts_and_with_validation(tmp_path: Path):
    put(tmp_path / "flat")
    flat = load(tmp_path / "flat")
    assert (len(flat.training), len(flat.test)) == (24, 6)
    for part in ("train", "val", "test"):
        put(tmp_path / "whole" / part)
    whole = load(tmp_path / "whole")
    assert (len(whole.training), len(whole.test)) == (60, 30)
    assert any("30 validation pictures belong to the training" in note for note in whole.notes)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_sizes_that_differ_are_resized_where_asked_for(tmp_path: Path):
    paths = [path for of_class in put(tmp_path).values() for path in of_class]
    Image.new("L", (30, 40), 77).save(paths[0])
    with pytest.raises(InputError, match=r"2 sizes, 29 of 30 have 8 x 10 .* --size 8x10"):
        load(tmp_path)
    dataset = load(tmp_path, size=(6, 5))
    assert dataset.shape == (6, 5)
    assert any("30 of 30 pictures resized to 6 x 5" in note for note in dataset.notes)
    everything = np.concatenate([dataset.training.inputs, dataset.test.open("all").inputs])
    wanted = rows_of(paths, "L", (6, 5))
    assert sorted(map(tuple, everything.tolist())) == sorted(map(tuple, wanted.tolist()))
    assert load(tmp_path, size=7).shape == (7, 7)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_a_picture_is_turned_as_its_camera_was(tmp_path: Path):
    path = put(tmp_path / "train", ending="jpg", side=10)["cat"][0]
    put(tmp_path / "test", 2, side=10)
    upright = np.zeros((10, 12), np.uint8)
    upright[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the first column is the top
    Image.fromarray(np.rot90(upright)).save(path, exif=exif, quality=100)
    dataset = load(tmp_path)
    turned = dataset.training.inputs[20].reshape(10, 12).astype(int)
    assert np.abs(turned - upright).max() < 40


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_sixteen_bits_palettes_and_transparency(tmp_path: Path):
    paths = put(tmp_path / "train", ending="png")
    put(tmp_path / "test", 2)
    Image.fromarray(np.full((8, 10), 51 * 256 + 7, np.uint16)).save(paths["10"][0])
    assert (load(tmp_path).training.inputs[0] == 51).all()
    Image.new("RGBA", (10, 8), (0, 0, 255, 0)).save(paths["10"][1])
    dataset = load(tmp_path)
    assert dataset.shape == (8, 10, 3)
    assert (dataset.training.inputs[1] == 255).all()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_broken_files_are_named_and_not_fatal_below_one_in_a_hundred(tmp_path: Path):
    paths = put(tmp_path, 40, side=4)
    paths["9"][0].write_bytes(paths["9"][0].read_bytes()[:60])
    (tmp_path / "9" / "notes.txt").write_text("x")
    dataset = load(tmp_path)
    assert len(dataset.training) + len(dataset.test) == 119
    assert any("passed over: 9/000.png cannot be read" in note for note in dataset.notes)
    assert any("not read, as no PNG, JPEG or BMP: 9/notes.txt" in n for n in dataset.notes)
    paths["9"][1].write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"9/000.png: cannot be read .*; 2 of 120 pictures"):
        load(tmp_path)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_what_is_no_set_of_pictures(tmp_path: Path):
    put(tmp_path / "train")
    put(tmp_path / "test", 1)
    (tmp_path / "test" / "cat").rename(tmp_path / "test" / "dog")
    with pytest.raises(InputError, match=r"dog/000.png holds the label 'dog', which no training"):
        load(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "flat").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "flat" / "a.png")
    with pytest.raises(InputError, match="holds pictures, but no subfolder for each class"):
        load(tmp_path / "flat")
    with pytest.raises(InputError, match="size = 28 only applies to a folder of pictures"):
        load("digits", size=28)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_new_pictures_are_read_as_the_training_pictures_were(tmp_path: Path):
    paths = [path for of_class in put(tmp_path, 5, mode="RGB").values() for path in of_class]
    pixels, names, labels, notes = drain(read_new_pictures(tmp_path, (6, 5)))
    assert (names, notes) == ([str(path.relative_to(tmp_path)) for path in paths], [])
    np.testing.assert_array_equal(pixels, rows_of(paths, "L", (6, 5)))
    assert labels == [path.parent.name for path in paths]
    assert drain(read_new_pictures(tmp_path, (6, 5, 3))).pixels.shape == (15, 90)
    (tmp_path / "9" / "._000.png").write_bytes(b"as macOS leaves beside a picture")
    assert drain(read_new_pictures(tmp_path, (6, 5))).labels == labels
    assert not any("passed over" in note for note in load(tmp_path, size=(6, 5)).notes)
    Image.new("1", (10_000, 5_001)).save(paths[1])
    with pytest.raises(InputError, match=r"001.png: .*more than 50,000,000 pixels"):
        drain(read_new_pictures(tmp_path, (6, 5)))
    paths[0].write_bytes(b"x")
    with pytest.raises(InputError, match=r"000.png: cannot be read as a picture"):
        drain(read_new_pictures(tmp_path, (6, 5)))


def test_reading_many_pictures_says_how_far_it_is(tmp_path: Path, monkeypatch):
    put(tmp_path, 100, side=4)
    monkeypatch.setattr(pictures, "SILENT", 0)
    steps = list(load_steps(tmp_path))
    assert [(step.task, step.done, step.total) for step in steps] == [
        (task, done, 300)
        for task in ("looking at pictures", "reading pictures")
        for done in (100, 200, 300)
    ]
