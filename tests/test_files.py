import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from downslope.errors import InputError
from downslope.files import sha256_of, write_whole


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
