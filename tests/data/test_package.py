"""The package manager is played by two scripts; the `fashion` test fetches with the real one."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from downslope.data import fashion_mnist, package
from downslope.data.idx import read_idx_folder
from downslope.data.package import unpack_package
from downslope.errors import InputError
from downslope.progress import drain

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no apt-get")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch):
    """Put an apt-get and a dpkg-deb of the given shell lines before the real ones."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(apt: str, dpkg: str = "mkdir -p $3/usr/share/datasets/fashion-mnist"):
        for name, lines in (("apt-get", apt), ("dpkg-deb", dpkg)):
            path = folder / name
            path.write_text(f"#!/bin/sh\n{lines}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


DOWNLOAD = 'case "$*" in *download*) echo 1 > dataset-fashion-mnist_0_all.deb;; esac\n'


def test_every_folder_that_apt_writes_to_is_private(work: Path, scripts, tmp_path: Path):
    scripts(DOWNLOAD + f'printf "%s\\n" "$@" > {tmp_path}/said')
    folder = drain(unpack_package(work))
    assert folder == work / "root" / fashion_mnist.PACKAGE_FOLDER.relative_to("/")
    assert folder.is_dir()
    said = (tmp_path / "said").read_text()
    for key in ("Dir::State", "Dir::State::Lists", "Dir::Cache"):
        assert f"--option={key}={work}/" in said
    assert "#clear APT::Update::Post-Invoke;" in (work / "apt.conf").read_text()


def test_an_unreachable_source_does_not_matter_if_the_package_comes(work: Path, scripts):
    scripts(DOWNLOAD + 'case "$*" in *update*) echo "E: no route" ; exit 100;; esac')
    assert drain(unpack_package(work)).is_dir()


@pytest.mark.parametrize(
    ("apt", "dpkg", "says"),
    [
        ('case "$*" in *update*) echo "W: a"; echo "E: no route"; exit 100;; esac; exit 100', "",
         "^exit status 100; no route$"),
        ('echo "E: Unable to locate package"; exit 100', "", "^Unable to locate package; Unable"),
        ("exit 3", "", "^exit status 3;"),
        ("exit 0", "", "left no package"),
        (DOWNLOAD, 'echo "E: corrupt archive" >&2; exit 2', "^corrupt archive$"),
    ],
)  # fmt: skip
def test_a_step_that_fails_gives_its_reason(work: Path, scripts, apt, dpkg, says):
    scripts(apt, dpkg)
    with pytest.raises(InputError, match=says):
        drain(unpack_package(work))


def test_without_apt_get(work: Path, monkeypatch):
    monkeypatch.setattr(package.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="no apt-get"):
        drain(unpack_package(work))


@pytest.mark.parametrize("how", ["interrupt", "time-out"])
def test_nothing_keeps_running(work: Path, scripts, tmp_path: Path, monkeypatch, how):
    scripts(f"echo $$ > {tmp_path}/pid; sleep 60")
    if how == "time-out":
        monkeypatch.setattr(package, "UPDATE_SECONDS", 0.3)
        monkeypatch.setattr(package, "DOWNLOAD_SECONDS", 0.3)
        with pytest.raises(InputError, match="took longer than 0 s"):
            drain(unpack_package(work))
    else:
        steps = unpack_package(work)
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            next(steps)
        steps.close()
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.fashion
def test_the_real_package(work: Path):
    if shutil.which("apt-get") is None:
        pytest.skip("this system has no apt-get")
    lists = Path("/var/lib/apt/lists")
    before = sorted((p.name, p.stat().st_mtime_ns) for p in lists.glob("*"))
    try:
        folder = drain(unpack_package(work))
    except InputError as error:
        pytest.skip(f"no package archive can be reached: {error}")
    fashion_mnist.check_content("", read_idx_folder(folder))
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in lists.glob("*"))
    state = subprocess.run(
        ["dpkg-query", "-W", "dataset-fashion-mnist"], capture_output=True, check=False
    )
    assert state.returncode != 0 or fashion_mnist.PACKAGE_FOLDER.is_dir()
