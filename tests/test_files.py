import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.errors import InputError
from downslope.files import check_writable, inside, sha256_of, write_whole


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_a_file_is_written_whole_and_readable_by_others(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "a", b"one")
        write_whole(tmp_path / "a", b"two")
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert contents(tmp_path) == {"a": b"two"}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def fail(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
@pytest.mark.parametrize(("how", "error"), [(fail, InputError), (interrupt, KeyboardInterrupt)])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    how: Callable[..., None],
    error: type[BaseException],
) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(where, how)
        with pytest.raises(error):
            write_whole(path, b"new")
    assert contents(tmp_path) == {"results.json": b"old"}


def test_the_content_is_synced_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def syncing(handle: int) -> None:
        what = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        seen.append(f"sync {what}")
        sync(handle)

    def replacing(self: Path, target: Path) -> Path:
        assert self.parent == target.parent == tmp_path
        assert self.read_bytes() == b"whole"
        seen.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", replacing)
    write_whole(tmp_path / "a", b"whole")
    assert seen == ["sync file", "rename", "sync folder"]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match=r"a: cannot be written \(No space left on device\)"):
        write_whole(tmp_path / "a", b"")


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"abc")
    # The example of FIPS 180-4's test vectors.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "a") == digest


def test_a_name_as_long_as_names_may_be_can_be_written(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"whole")
    assert contents(tmp_path) == {"n" * 255: b"whole"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n" * 300, "File name too long"),
        ("nowhere/file", "No such file"),
        ("file/below", "Not a directory"),
        ("folder", "is a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=words):
        check_writable(tmp_path / name)
    check_writable(tmp_path / "new")
    assert contents(tmp_path) == {"file": b"mine"}


# Names and links that lead out of a directory


parts = st.sampled_from(["a", "b", "..", ".", "link", "...", "x y"])


@given(st.lists(parts, min_size=1, max_size=5), st.booleans())
def test_no_name_leads_out_of_a_directory(names: list[str], absolute: bool) -> None:
    """Compare with what the system makes of the name."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "root"
        (root / "a" / "b").mkdir(parents=True)
        (root / "link").symlink_to("..")
        name = ("/" if absolute else "") + "/".join(names)
        try:
            path = inside(root, name)
        except InputError:
            return
        assert path.resolve().is_relative_to(root)


def test_plain_names_are_taken(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "folder").mkdir(parents=True)
    (real / "folder" / "file").write_text("")
    (tmp_path / "root").symlink_to(real)  # the directory itself may be a link
    for name in ("folder", "folder/file", "folder/new", "new/file"):
        assert inside(tmp_path / "root", name) == tmp_path / "root" / name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_what_would_wait_for_ever_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.json")
    with pytest.raises(InputError, match="neither a plain file nor a folder"):
        inside(tmp_path, "results.json")
