"""Commands for a network of one's own, and for a trained autoencoder."""

from pathlib import Path

import numpy as np
import pytest


def test_the_diagnosis_of_a_module_names_the_layer_and_draws_it(
    downslope,
) -> None:
    Path("mine.py").write_text(
        "from torch import nn\n"
        "def deep():\n"
        "    hidden = [m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())]\n"
        "    return nn.Sequential(*hidden, nn.Linear(64, 10))\n"
    )
    said = downslope("diagnose", "mine.py:deep", "--data", "digits", "--networks", "3")
    assert said.status == 0
    assert "the signal dies at layer 8 (Linear)" in said.out
    assert Path("diagnosis/diagnosis.html").exists()
    assert not Path("runs").exists()
    wrong = downslope("diagnose", "mine.py:shallow", "--data", "digits")
    assert wrong.status == 2 and "no function 'shallow'" in wrong.err


def test_examples_go_through_an_autoencoder_and_back(downslope, tmp_path: Path) -> None:
    said = downslope("autoencode", "tiny.toml", "--out", "out", "--quiet")
    assert said.status == 0, said.err
    rows = np.random.default_rng(0).integers(0, 17, (5, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "x.npy", rows)
    assert downslope("encode", "out", "x.npy", "--out", "codes.npy").status == 0
    assert downslope("decode", "out", "codes.npy", "--out", "decoded.npy").status == 0
    said = downslope("reconstruct", "out", "x.npy", "--out", "again.npy")
    assert said.status == 0 and "5 examples, mean squared error 0." in said.out
    assert np.load(tmp_path / "codes.npy").shape == (5, 4)
    again = np.load(tmp_path / "again.npy")
    assert again.shape == (5, 8, 8)
    assert np.array_equal(again, np.load(tmp_path / "decoded.npy"))
    assert downslope("reconstruct", "out", "x.npy", "--out", "sheet.png").status == 0
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("encode", "nowhere", "x.npy", "--out", "c.npy"), "nowhere: does not exist"),
        (("encode", ".", "x.npy", "--out", "c.npy"), "holds no autoencoder"),
        (("encode", ".", "x.npy", "--out", "c.txt"), "must end in .npy"),
        (("reconstruct", ".", "x.npy", "--out", "c.jpg"), "must end in .npy or .png"),
    ],
)
def test_mistakes_with_autoencoders_are_one_line(
    downslope, tmp_path: Path, command: tuple[str, ...], words: str
) -> None:
    assert words in downslope(*command).mistake()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.toml"]
