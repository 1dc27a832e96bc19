"""Debian's package of Fashion-MNIST, unpacked by any user and without touching the system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from downslope.errors import InputError
from downslope.progress import Progress, Steps

PACKAGE = "dataset-fashion-mnist"

UPDATE_SECONDS = 300.0
DOWNLOAD_SECONDS = 900.0
_POLL_SECONDS = 0.1

# Bytes, roughly, so that the bar is about right: the lists of one Debian release, the package.
_LISTS = 20_000_000
_ARCHIVE = 31_000_000


def unpack_package(work: Path) -> Steps[Path]:
    """Download the package with apt-get and unpack it with dpkg-deb, all below one folder.

    The package lists, the cache and the state are private to `work`, so neither root nor a lock is
    needed, and hooks that the system runs after an update are left out.

    Yields:
        Bytes so far.

    Returns:
        The folder with the four files.
    """
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise InputError("this system has no apt-get")
    for folder in ("lists/partial", "cache/archives/partial", "state", "download", "root"):
        (work / folder).mkdir(parents=True)
    # Read after the system's own settings, which stay in force (a proxy may be among them).
    settings = work / "apt.conf"
    settings.write_text(
        "#clear APT::Update::Pre-Invoke;\n"
        "#clear APT::Update::Post-Invoke;\n"
        "#clear APT::Update::Post-Invoke-Success;\n"
        "#clear DPkg::Pre-Invoke;\n"
        "#clear DPkg::Post-Invoke;\n"
    )
    apt_get = [
        apt,
        f"--config-file={settings}",
        "--quiet=2",
        "--option=Debug::NoLocking=1",
        # As root, downloads would be handed to the user _apt, who may not write here.
        "--option=APT::Sandbox::User=root",
        f"--option=Dir::State={work / 'state'}",
        "--option=Dir::State::Status=/var/lib/dpkg/status",
        f"--option=Dir::State::Lists={work / 'lists'}",
        f"--option=Dir::Cache={work / 'cache'}",
        "--option=APT::Update::Error-Mode=any",  # say so even if only the network is down
        "--option=Acquire::Languages=none",
        "--option=Acquire::Retries=1",
        "--option=Acquire::http::Timeout=10",
        "--option=Acquire::https::Timeout=10",
    ]
    download = work / "download"
    # An unreachable source among several fails the update though the others are enough, so only
    # the download tells.
    updated = yield from _watch(
        [*apt_get, "update"], work, work / "lists", "reading Debian's package lists", _LISTS,
        UPDATE_SECONDS,
    )  # fmt: skip
    failure = yield from _watch(
        [*apt_get, "download", PACKAGE], download, download, f"downloading {PACKAGE}", _ARCHIVE,
        DOWNLOAD_SECONDS,
    )  # fmt: skip
    archives = list(download.glob(f"{PACKAGE}_*.deb"))
    if failure is not None or len(archives) != 1:
        raise InputError("; ".join(filter(None, (failure or "apt-get left no package", updated))))
    failure = yield from _watch(
        [dpkg, "-x", str(archives[0]), str(work / "root")], work, work / "root",
        f"unpacking {PACKAGE}", _ARCHIVE, UPDATE_SECONDS,
    )  # fmt: skip
    if failure is not None:
        raise InputError(failure)
    return work / "root" / "usr/share/datasets/fashion-mnist"


def _watch(
    command: list[str], folder: Path, growing: Path, task: str, expected: int, seconds: float
) -> Steps[str | None]:
    """Run a command in a folder to its end; return None, or the reason why it failed."""
    log = folder.parent / f"{folder.name}-{Path(command[0]).name}.log"
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that all its workers can be ended with it
        )
        try:
            left = seconds
            while left > 0:
                done = _bytes_below(growing)
                yield Progress(task, done, max(done, expected))
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    left -= _POLL_SECONDS
            else:
                return f"{Path(command[0]).name} took longer than {seconds:.0f} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode == 0:
            return None
        output.seek(0)
        said = [line.strip() for line in output if line.startswith("E:")]
    return said[0][3:].strip()[:200] if said else f"exit status {process.returncode}"


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue  # renamed by the command that is watched
    return total
