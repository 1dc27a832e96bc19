import os
import sys
from pathlib import Path

import pytest

from downslope.data import files
from downslope.data.files import fault, open_plain, read_whole
from downslope.errors import InputError


def test_whatever_is_in_a_name_the_message_stays_one_line():
    message = str(fault("a\x1b[31m\nb\udcff", "c\r\td é"))
    assert message == r"a\x1b[31m\nb\udcff: c\r\td é"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is empty"),
        pytest.param(
            lambda path: os.mkfifo(path),
            "not a regular file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes"),
        ),
        (lambda path: path.symlink_to(path), "cannot be read|does not exist"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, make, says):
    path = tmp_path / "file"
    make(path)
    with pytest.raises(InputError, match=says):
        read_whole(path)


def test_permissions(tmp_path: Path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(*args):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="may not be read by this user"), open_plain(path):
        pass


def test_size_is_bounded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "MAXIMUM_BYTES", 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    assert read_whole(path) == bytes(10)
    path.write_bytes(bytes(11))
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_whole(path)
