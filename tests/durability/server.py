"""Runs the tiny recipe in forked children that are killed or whose disk fails; see test_kills.py.

Started as a command with faults.so preloaded. Everything is imported once, so that a child costs
as much as the recipe itself. Speaks one JSON line a request and a reply.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from downslope.data import load
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes import load_recipe, run_recipe
from downslope.runs import Run
from downslope.search import trials as store

MODES = {"count": 0, "kill before": 1, "kill after": 2, "kill torn": 3, "fail": 4}
FAULTS = ctypes.CDLL(None)  # the preloaded library is part of the process


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "seconds"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def digest(folder: Path) -> dict[str, str]:
    """Digests of everything in a run that holds no times; the store as its trials."""
    run = Run(folder)
    assert run.damaged() == []
    found = {"results.json": json.dumps(timeless(msgspec.to_builtins(run.read_results())))}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in (".lock", "manifest.json", "results.json"):
            with_times = path.suffix == ".sqlite"
            found[name] = "" if with_times else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def child(request: dict[str, Any], report: int) -> None:
    recipe, data = load_recipe(request["recipe"]), load(Path(request["recipe"]).with_suffix(".npz"))
    if request.get("user"):
        os.setuid(request["user"])
    path = Path(request["out"])
    if "mode" in request:
        FAULTS.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int]
        mode, at = MODES[request["mode"]], request.get("at", 0)
        # Trials that arrive within half a second share a commit: how many depends on the machine.
        # Here each has its own, so that the moments to kill at are the same in every run.
        store.SOON = -1.0
        FAULTS.faults_arm(str(path).encode(), mode, at, request.get("errno", 0))
    said = {}
    options = {"threads": request.get("threads", 1), "stages": request["stages"]}
    try:
        drain(run_recipe(recipe, data, Run(path), **options))
    except InputError as error:
        said["error"] = str(error)
    if "mode" in request:
        FAULTS.faults_count.restype = ctypes.c_long
        said["count"] = FAULTS.faults_count()
    os.write(report, json.dumps(said).encode())


def serve(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("digest"):
        return {"digest": digest(Path(request["out"]))}
    inward, outward = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(request, outward)
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(outward)
    if "after" in request:
        time.sleep(request["after"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    said = b""
    while piece := os.read(inward, 65536):
        said += piece
    os.close(inward)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - start
    reply = {"status": os.waitstatus_to_exitcode(status), "seconds": seconds}
    return reply | (json.loads(said) if said else {})


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
