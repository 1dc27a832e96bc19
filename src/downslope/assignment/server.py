"""Where checked code runs: a process that holds torch ready and forks one process per function.

Started as `python -m downslope.assignment.server FOLDER`, it reads a request a line and answers a
line. It never runs checked code itself: for each request it forks a reader, which runs the
solution's definitions once, and which forks a process for each function. Limits hold for all of
them, and whatever they leave behind is killed before the answer.

The limits are against accidents. They are no sandbox: see docs/teachers.md.
"""

from __future__ import annotations

import ctypes
import json
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
from typing import Any

import matplotlib as mpl
import msgspec
import numpy as np
import torch

from downslope.assignment.guarded import Guard, run_definitions
from downslope.assignment.observing import ContractError
from downslope.assignment.probes import PROBES, SEED
from downslope.assignment.records import Limits, Record, Request, encode

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
    mpl.use("Agg")
    torch.set_num_threads(1)
    _warm_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who checks decides what an interrupt ends
    signal.signal(signal.SIGTERM, _end)
    with suppress(OSError, AttributeError):  # Linux: orphans of checked code come to this process
        system = ctypes.CDLL(None)
        system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    data = {path.stem.removeprefix("fashion_mnist_"): np.load(path) for path in _files()}
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints does not reach the answers
    for line in sys.stdin.buffer:
        request = msgspec.json.decode(line, type=Request)
        answers.write(_answer(request, data) + b"\n")
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


def _answer(request: Request, data: dict[str, Any]) -> bytes:
    """Run one solution and collect what its processes wrote."""
    with tempfile.TemporaryDirectory(prefix="downslope-check-") as name:
        folder = Path(name)
        (folder / "out").mkdir()
        # A process a function, and the reader; each ends itself earlier if it can.
        limits = request.limits
        deadline = (
            time.monotonic() + 2 * limits.reading + (limits.seconds + 2) * len(request.probes)
        )
        reader = _fork(lambda: _read(request, data, folder))
        end = _wait(reader, deadline)
        _end_all()
        records: dict[str, Any] = {}
        for path in (folder / "out").glob("*.msgpack"):
            with suppress(ValueError, OSError):
                records[path.stem] = msgspec.msgpack.decode(path.read_bytes())
        records.setdefault("module", {"end": end or "exited"})
        for probe in request.probes:
            if records["module"].get("end") is None:
                records.setdefault(probe, {"end": "exited"})
        return json.dumps({"records": _as_text(records)}).encode()


def _as_text(records: dict[str, Any]) -> dict[str, Any]:
    """Make bytes of arrays plain, for a line of JSON."""
    for record in records.values():
        for value in record.get("values", {}).values():
            if isinstance(value, dict):
                value["data"] = value["data"].hex()
    return records


def _fork(work: Callable[[], None]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(0)


def _wait(process: int, deadline: float) -> str | None:
    """Wait for a process and say how it ended, if not by itself; it is killed at the deadline."""
    pause = 0.001
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return _ENDS.get(signal.Signals(os.WTERMSIG(status)), "crashed")
            return None
        if time.monotonic() > deadline:
            with suppress(OSError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return "time"
        time.sleep(pause)
        pause = min(0.02, pause * 1.5)


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
    """List the processes below one; empty where the system does not tell."""
    found: list[int] = []
    with suppress(OSError):
        for path in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                found += [child, *_children(child)]
    return found


def _read(request: Request, data: dict[str, Any], folder: Path) -> None:
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
        end = _wait(process, time.monotonic() + limits.seconds + 1)
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
    with suppress(OSError, ValueError):
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
        for key, value in PROBES[name](namespace, data):
            values[key] = encode(value)

    record.error = guard.run(observe, limits.seconds)
    if os.getpid() == process:
        _write(out, name, record, **guard.marks())


def _write(out: Path, name: str, record: Record, **marks: Any) -> None:
    for key, value in marks.items():
        setattr(record, key, value)
    path = out / f"{name}.part"
    path.write_bytes(msgspec.msgpack.encode(record))
    path.replace(out / f"{name}.msgpack")


if __name__ == "__main__":
    main()
