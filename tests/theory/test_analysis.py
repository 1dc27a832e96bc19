"""The part of the theory that depends on no data is worked out once for an installation."""

from pathlib import Path

import pytest

from downslope.files import CACHE, cache_folder
from downslope.progress import drain
from downslope.theory import Activation, Gain, Step, analysis, derivation
from downslope.theory.analysis import Analysis, analyse


@pytest.fixture(scope="module")
def known() -> Analysis:
    """What the session's cache holds, or will hold."""
    return drain(analyse())


@pytest.fixture
def cheap(known: Analysis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Fill an empty cache in an instant; the list grows when the derivation is verified."""
    verified: list[str] = []
    gains = {gain.activation: gain for gain in known.gains}

    def verify() -> list[Step]:
        verified.append("derivation")
        return known.steps

    def gain(activation: Activation) -> Gain:
        return gains[activation.name]

    def edge(activation: Activation) -> float | None:
        return known.edges[activation.name]

    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(analysis, "derivation", verify)
    monkeypatch.setattr(analysis, "counterexamples", lambda: known.counterexamples)
    monkeypatch.setattr(analysis, "mutations", lambda: known.mutations)
    monkeypatch.setattr(analysis, "compute_gain", gain)
    monkeypatch.setattr(analysis, "edge_of_chaos", edge)
    return verified


def kept() -> Path:
    return cache_folder() / analysis.FILE


def test_what_is_kept_is_what_was_worked_out(known: Analysis):
    assert known.steps == derivation()
    assert drain(analyse()) == known
    assert next(analyse()).note == "done before by this version"


def test_the_second_time_nothing_is_verified_again(known: Analysis, cheap: list[str]):
    assert drain(analyse()) == drain(analyse()) == known
    assert len(cheap) == 1


@pytest.mark.parametrize("at", [0, 40, 64, 65, 1000, -1])
def test_a_damaged_result_is_worked_out_again(known: Analysis, cheap: list[str], at: int):
    drain(analyse())
    whole = kept().read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    kept().write_bytes(damaged)
    assert drain(analyse()) == known
    assert (len(cheap), kept().read_bytes()) == (2, whole)
    kept().write_bytes(whole[:at])
    assert drain(analyse()) == known
    assert (len(cheap), kept().read_bytes()) == (3, whole)


def test_other_versions_work_it_out_again(cheap: list[str], monkeypatch: pytest.MonkeyPatch):
    drain(analyse())
    monkeypatch.setattr(analysis, "_key", lambda: b"another version of sympy")
    drain(analyse())
    drain(analyse())
    assert len(cheap) == 2


def test_the_key_knows_versions_and_every_file_of_the_package(monkeypatch: pytest.MonkeyPatch):
    key = analysis._key.__wrapped__  # pyright: ignore[reportPrivateUsage]
    before = key()
    read = Path.read_bytes

    def changed(path: Path) -> bytes:
        return read(path) + b"#" * (path.name == "small_networks.py")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert key() != before
    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(analysis, "fingerprint", lambda: {"sympy": "0"})
    assert key() != before


def test_a_cache_that_cannot_be_written_is_done_without(
    known: Analysis, cheap: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "file").write_text("a file where a folder should be")
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    assert drain(analyse()) == known
    assert drain(analyse()) == known
    assert len(cheap) == 2
