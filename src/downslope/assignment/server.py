"""Where checked code runs: a process that holds torch ready and forks one process per function.

Started as `python -m downslope.assignment.server FOLDER`, it says what decides observations here (a
key for what is kept of them), reads a request a line and answers each; an answer is preceded by
its length. It never runs checked code itself: for each request it forks a reader, which runs the
solution's definitions once, and which forks a process for each function. Limits hold for all of
them, and whatever they leave behind is killed before the answer.

The limits are against accidents. They are no sandbox: see docs/teachers.md.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import matplotlib as mpl
import msgspec
import numpy as np
import torch

from downslope.assignment.guarded import Guard, run_definitions
from downslope.assignment.observing import ContractError
from downslope.assignment.probes import PROBES, SEED
from downslope.assignment.records import Limits, Record, Request, pack, unpack
from downslope.engines import fingerprint, hardware
from downslope.files import key_of

LINUX = sys.platform == "linux"
"""Elsewhere memory has no limit, orphans are not seen, and a parent's end is looked for."""
MODULE = "module.msgpack"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ENDS = {
    signal.SIGXFSZ: "output",
    signal.SIGXCPU: "time",
    signal.SIGALRM: "time",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "crashed",
}


def main() -> None:
    """Answer requests until the input ends."""
    parent = os.getppid()
    mpl.use("Agg")
    torch.set_num_threads(1)
    _warm_up()
    signal.signal(signal.SIGTERM, _end)
    if LINUX:
        system = ctypes.CDLL(None)
        system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of checked code come here
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints does not reach the answers
    data: dict[str, Any] = {}
    with suppress(BrokenPipeError):  # nobody waits for it any more
        _say(answers, key_of(Path(__file__).parent, fingerprint(), hardware()["processor"]))
        for line in sys.stdin.buffer:
            request = msgspec.json.decode(line, type=Request)
            data = data or {p.stem.removeprefix("fashion_mnist_"): np.load(p) for p in _files()}
            _say(answers, pack(_answer(request, data, parent)))


def _say(answers: BinaryIO, content: bytes) -> None:
    answers.write(len(content).to_bytes(8, "big") + content)
    answers.flush()


def _end(_number: int, _frame: FrameType | None) -> None:
    _end_all()
    sys.exit(0)


def _warm_up() -> None:
    """Load what solutions need: drawing, and what torch loads at an optimizer's first step."""
    import_module("matplotlib.pyplot")
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()


def _files() -> list[Path]:
    return sorted(Path(sys.argv[1]).glob("fashion_mnist_*.npy"))


def _answer(request: Request, data: dict[str, Any], parent: int) -> dict[str, Record]:
    """Run one solution and collect what its processes wrote."""
    with tempfile.TemporaryDirectory(prefix="downslope-check-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        # A process a function, and the reader; each ends itself earlier if it can.
        limits, begin, server = request.limits, time.monotonic(), os.getpid()
        read = begin + 10 * limits.reading  # with all imports
        deadline = read + (limits.seconds + 2) * len(request.probes)

        def late() -> bool:
            if os.getppid() != parent:  # not every system tells a child of that
                _end(0, None)  # the reader sees in turn that this process is gone
            now = time.monotonic()
            return now > deadline or (now > read and not (folder / "out" / MODULE).exists())

        reader = _fork(lambda: _read(request, data, folder, server))
        end = _wait(reader, late)
        _end_all()
        records: dict[str, Record] = {}
        for path in (folder / "out").glob("*.msgpack"):
            with suppress(ValueError, OSError):
                records[path.stem] = unpack(path.read_bytes(), Record)
        module = records.setdefault("module", Record(end=end or "exited"))
        for probe in request.probes:
            if module.end is None:
                records.setdefault(probe, Record(end="exited"))
        return records


def _fork(work: Callable[[], None]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(0)


def _wait(process: int, late: Callable[[], bool]) -> str | None:
    """Wait for a process, end what it started, and say how it ended, if not by itself."""
    pause = 0.001
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            _end_group(process)
            if os.WIFSIGNALED(status):
                return _ENDS.get(signal.Signals(os.WTERMSIG(status)), "crashed")
            return None
        if late():
            os.kill(process, signal.SIGKILL)
            _end_group(process)
            os.waitpid(process, 0)
            return "time"
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


def _end_group(process: int) -> None:
    with suppress(OSError):
        os.killpg(process, signal.SIGKILL)


def _end_all() -> None:
    """Kill and reap everything that came from this process, until nothing is left."""
    for _ in range(200):
        children = _children(os.getpid())
        if not children:
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            return
        for child in children:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.002)


def _children(process: int) -> list[int]:
    """List the processes below one; macOS does not tell."""
    found: list[int] = []
    if not LINUX:
        return found
    with suppress(OSError):
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                found += [child, *_children(child)]
    return found


def _read(request: Request, data: dict[str, Any], folder: Path, server: int) -> None:
    """Run the definitions of a solution, then each probe in a process of its own."""
    limits, out = request.limits, folder / "out"
    (folder / "work").mkdir()
    os.chdir(folder / "work")
    for path in _files():
        shutil.copy(path, path.name)
    sys.argv = ["solution.py"]
    _limit(limits, folder)
    guard = Guard(request.source, out)
    guard.begin()
    namespace, record = run_definitions(request, guard)
    _write(out, "module", record)
    for name in request.probes:
        process = _fork(lambda name=name: _probe(name, namespace, data, guard, limits, out))
        deadline = time.monotonic() + limits.seconds + 1
        end = _wait(
            process,
            lambda deadline=deadline: time.monotonic() > deadline or os.getppid() != server,
        )
        if os.getppid() != server:
            return
        if end is not None:
            _write(out, name, Record(end=end, **guard.marks()))


def _limit(limits: Limits, folder: Path) -> None:
    """Bound memory, output and time of this process and of what it starts."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    printed = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if LINUX:  # macOS has no such limit
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + limits.memory
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for kind, value in (
        (resource.RLIMIT_FSIZE, limits.output),
        (resource.RLIMIT_CPU, round(limits.seconds) + 5),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, value))


def _probe(
    name: str,
    namespace: dict[str, Any],
    data: dict[str, Any],
    guard: Guard,
    limits: Limits,
    out: Path,
) -> None:
    """Observe one function and write what came out, as far as it came."""
    process = os.getpid()
    values: dict[str, Any] = {}
    record = Record(values=values)
    torch.manual_seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - solutions may draw from it

    def observe() -> None:
        if name not in namespace:
            raise ContractError("is not there after the code outside of functions has run")
        values.update(PROBES[name](namespace, data))  # as far as they come

    record.error = guard.run(observe, limits.seconds)
    if os.getpid() == process:
        _write(out, name, record, **guard.marks())


def _write(out: Path, name: str, record: Record, **marks: Any) -> None:
    for key, value in marks.items():
        setattr(record, key, value)
    path = out / f"{name}.part"
    path.write_bytes(pack(record))
    path.replace(out / f"{name}.msgpack")


if __name__ == "__main__":
    main()
