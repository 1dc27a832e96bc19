"""The checking side: asks the server to run solutions, and compares what they were observed to do.

No checked code, and no torch, is imported here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.assignment.catalogue import Mistake, catalogue, code_of
from downslope.assignment.comparison import VAGUE, compare, departures, difference, same
from downslope.assignment.oracle import Oracle
from downslope.assignment.records import Limits, Record, Request, unpack
from downslope.assignment.submission import FUNCTIONS, OPTIONAL, Submission
from downslope.assignment.verdicts import Check, Verdict, say_end, say_failure
from downslope.errors import InputError
from downslope.progress import Progress, Steps, drain

SERVER = ("-m", "downslope.assignment.server")
SHOWN = 3
"""Differences of a function that are told."""
MOST_PAIRS = 150
"""Pairs of mistakes that are tried where no single one fits."""


class ServerEndedError(InputError):
    """The server is not there any more: it was killed, by a solution perhaps."""


class Checker:
    """Runs solutions and names their mistakes; holds one server.

    Use it as a context; at its end the server is ended.

    Args:
        limits: of what a solution may use.
        oracle: what is known of the reference; checkers side by side share one.
    """

    def __init__(self, limits: Limits | None = None, oracle: Oracle | None = None) -> None:
        self.limits = limits or Limits()
        self._oracle = oracle or Oracle()
        self._key = b""
        self._server: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Checker:
        """Start the server, and write the data while it starts.

        Raises:
            InputError: the system cannot fork.
        """
        if sys.platform == "win32":
            raise InputError("check: needs Linux or macOS, where a process can be forked")
        self._folder = tempfile.TemporaryDirectory(prefix="downslope-check-")
        self._start(self._folder.name)
        for name, array in small_data().items():
            np.save(Path(self._folder.name) / f"fashion_mnist_{name}.npy", array)
        return self

    def _start(self, folder: str) -> None:
        self._key = b""
        self._server = subprocess.Popen(
            [sys.executable, *SERVER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt ends whoever checks, and that ends the server
            # The threads of Apple's Accelerate do not outlive a fork.
            env={**os.environ, "VECLIB_MAXIMUM_THREADS": "1"},
        )

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the server, and keep what is known of the reference."""
        if self._key:  # else the server was restarted and has not spoken
            self._oracle.keep(self._key)
        self._end()
        if self._folder is not None:
            self._folder.cleanup()

    def _end(self) -> None:
        if self._server is None:
            return
        self._server.terminate()  # it ends what it runs
        try:
            self._server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _run(self, request: Request) -> dict[str, Record]:
        """Have the server run a solution."""
        server = self._server
        assert server is not None and server.stdin, "use it as a context"
        self._key = self._key or self._hear()
        with suppress(BrokenPipeError):  # `_hear` says so
            server.stdin.write(msgspec.json.encode(request) + b"\n")
            server.stdin.flush()
        return unpack(self._hear(), dict[str, Record])

    def _hear(self) -> bytes:
        """Read what the server says next."""
        assert self._server is not None and self._server.stdout
        length = self._server.stdout.read(8)
        size = int.from_bytes(length, "big")
        content = self._server.stdout.read(size) if len(length) == 8 else b""
        if len(length) < 8 or len(content) < size:
            raise ServerEndedError(
                "check: the process that runs solutions has ended; repeat the command"
            )
        return content

    def _reference(self, probe: str, mistakes: Sequence[Mistake] = ()) -> Record | None:
        """Observe the reference, with some mistakes in it; None where they exclude each other."""
        self._key = self._key or self._hear()
        return self._oracle.observe(probe, mistakes, self._run, self._key)

    def check(self, submission: Submission) -> Check:
        """Check a solution: a verdict for each function that the assignment asks for."""
        return drain(self.steps(submission))

    def steps(self, submission: Submission) -> Steps[Check]:
        """Check a solution as `check` does, and yield how far it is."""
        total = 1 + len(FUNCTIONS)
        yield Progress("check", 0, total, "running your functions")
        records: dict[str, Record] = {}
        notes = list(submission.problems)
        if submission.source:
            self._key = self._key or self._hear()
            try:
                records = self._observe(submission)
            except ServerEndedError:
                assert self._folder is not None
                self._end()
                self._start(self._folder.name)
                notes.append("ended the process that runs solutions; nothing of it was checked")
        if module := records.get("module"):
            notes += say_module(submission, module, self.limits)
        verdicts: dict[str, Verdict] = {}
        for i, name in enumerate(FUNCTIONS):
            yield Progress("check", 1 + i, total, name)
            if name not in submission.found and name in OPTIONAL:
                continue
            record = records.get(name)
            if record is None:
                verdicts[name] = _missing(name, submission)
            else:
                verdicts[name] = self._judge(name, record, submission, verdicts)
        yield Progress("check", total, total)
        return Check(name=submission.name, verdicts=list(verdicts.values()), notes=notes)

    def _observe(self, submission: Submission) -> dict[str, Record]:
        request = Request(source=submission.source, probes=submission.found, limits=self.limits)
        records = self._run(request)
        module = records["module"]
        if module.end is not None:  # its own code ended the process: its functions may still do
            definitions = msgspec.structs.replace(request, definitions_only=True)
            records = self._run(definitions)
            if records["module"].end is None:
                records["module"].end = module.end
        return records

    def _judge(
        self, name: str, record: Record, submission: Submission, before: dict[str, Verdict]
    ) -> Verdict:
        """Compare what was observed of one function with the reference and with each mistake."""
        notes = say_marks(record)
        if record.end is not None:
            line = say_end(record.end, self.limits)
            return Verdict(function=name, status="limit", lines=[line, *notes])
        right = self._reference(name)
        assert right is not None
        departed, bits = departures(right.values, record.values)
        if record.error is None and not departed:
            return Verdict(function=name, status="bits" if bits else "rounding", lines=notes)
        for accepted in (m for m in catalogue() if m.function == name and m.accepted):
            if self._fits([accepted], name, record):
                return Verdict(function=name, status="rounding", lines=notes)
        limit = record.error is not None and record.error.limit
        named = None if limit else self._named(name, record, departed, before)
        if named is not None:
            return named
        if record.error is not None:
            lines = [say_failure(record.error, submission, self.limits), *notes]
            status = "limit" if limit else "error"
            return Verdict(function=name, status=status, lines=lines, at=record.error.line)
        texts = [difference(key, right.values.get(key), record.values.get(key)) for key in departed]
        if len(texts) > SHOWN:
            notes.insert(0, f"{len(texts) - SHOWN} more observations differ.")
        wrong = [v.function for v in before.values() if v.function in code_of(name) and not v.right]
        if wrong:
            called = ", ".join(wrong)
            notes.append(
                f"This may follow from {called}, or there may be more that is not right; correct "
                f"{called} first."
            )
        return Verdict(function=name, status="different", lines=[*texts[:SHOWN], *notes])

    def _fits(self, mistakes: Sequence[Mistake], name: str, record: Record) -> bool:
        theirs = self._reference(name, mistakes)
        if theirs is None or theirs.end is not None:
            return False
        kinds = [error and error.kind for error in (theirs.error, record.error)]
        return kinds[0] == kinds[1] and same(theirs.values, record.values)

    def _named(
        self, name: str, record: Record, departed: list[str], before: dict[str, Verdict]
    ) -> Verdict | None:
        """Find the mistakes that make the reference do what was observed."""
        own = [m for m in catalogue() if m.function == name and not m.accepted]
        wrong = [v for v in before.values() if v.function in code_of(name) and not v.right]
        called = [mistake for verdict in wrong for mistake in verdict.mistakes]
        if wrong:
            # What it calls may be all that is wrong; its own mistakes show beside those.
            for more in [[], *([mistake] for mistake in own)]:
                if called and self._fits([*called, *more], name, record):
                    return _verdict(name, [*called, *more])
            return None
        accepted = [[m] for m in catalogue() if m.function == name and m.accepted]
        for beside in [[], *accepted]:
            for mistake in own:
                if self._fits([*beside, mistake], name, record):
                    return _verdict(name, [mistake])
        if record.error is not None:
            return None
        hints = {mistake.name for mistake in own if self._shares(mistake, name, record, departed)}
        pairs = sorted(
            combinations(own, 2), key=lambda pair: -sum(one.name in hints for one in pair)
        )
        for pair in pairs[:MOST_PAIRS]:
            for order in (pair, pair[::-1]):
                if self._fits(order, name, record):
                    return _verdict(name, list(pair))
        one = self._partly(own, name, record)
        return one and _verdict(name, [one], more=True)

    def _shares(self, mistake: Mistake, name: str, record: Record, departed: list[str]) -> bool:
        """Tell whether a mistake explains some observation of those that depart."""
        theirs = self._reference(name, [mistake])
        return theirs is not None and any(_agree(key, theirs, record) for key in departed)

    def _partly(self, own: list[Mistake], name: str, record: Record) -> Mistake | None:
        """Find a mistake that explains a part of what departs.

        Everything that it changes is so in what was observed, or it is the only one that makes
        some observation what it is.
        """
        right = self._reference(name)
        assert right is not None
        departed, _ = departures(right.values, record.values)
        explain: dict[str, list[Mistake]] = {key: [] for key in departed}
        whole: list[Mistake] = []
        for mistake in own:
            theirs = self._reference(name, [mistake])
            if theirs is None:
                continue
            changed, _ = departures(right.values, theirs.values)
            agreed = [key for key in changed if key in explain and _agree(key, theirs, record)]
            for key in agreed:
                explain[key].append(mistake)
            if agreed and agreed == changed:
                whole.append(mistake)
        alone = [some[0] for some in explain.values() if len(some) == 1]
        return next((one for some in (whole, alone) for one in own if one in some), None)


def _agree(key: str, theirs: Record, record: Record) -> bool:
    """Tell whether an observation is there in both, the same and not vague."""
    if key not in theirs.values or key not in record.values:
        return False
    value = record.values[key]
    vague = isinstance(value, str) and value in VAGUE
    return not vague and compare(key, theirs.values[key], value) != "different"


def _missing(name: str, submission: Submission) -> Verdict:
    """Say that a function could not be run, unless the whole file could not be read."""
    near = submission.near.get(name, "")
    lines: list[str] = []
    if name in submission.found:
        lines.append("could not be run, as the process ended before it")
    elif near:
        lines.append(f"not found; is it {near}? Then rename it")
    elif submission.source:
        lost = "; the cell may be one that is left out" if submission.problems else ""
        lines.append(f"not found{lost}")
    return Verdict(function=name, status="missing", lines=lines)


def _verdict(name: str, mistakes: list[Mistake], *, more: bool = False) -> Verdict:
    lines = [
        m.told if m.function == name else f"Follows from the mistake in {m.function}."
        for m in mistakes
    ]
    if more:
        lines.append("There may be more that is not right; correct this first.")
    return Verdict(function=name, status="mistake", lines=lines, mistakes=mistakes)


def say_module(submission: Submission, record: Record, limits: Limits) -> list[str]:
    """Say what happened while the code outside of functions ran."""
    reading = msgspec.structs.replace(limits, seconds=limits.reading)
    lines = [say_failure(failure, submission, reading) for failure in record.failures[:5]]
    if record.end is not None:
        what = {"time": "ran for too long", "output": "printed too much"}
        reason = what.get(record.end, "ended the process")
        lines.append(f"code outside of functions {reason}; it was left out")
    elif record.skipped:
        lines.append("code outside of functions took too long; what was left of it was skipped")
    return lines + say_marks(record)


def say_marks(record: Record) -> list[str]:
    """Say what a process did besides computing."""
    lines: list[str] = []
    if record.started:
        lines.append("tried to start another process; none is started in a check")
    if record.files:
        lines.append(f"wrote files, which were thrown away: {', '.join(record.files)}")
    return lines


def small_data() -> dict[str, NDArray[Any]]:
    """Return the data of a check: scikit-learn's digits, as Fashion-MNIST's arrays are.

    They are real, are there without a download, and are small: 120 training and 60 test images.
    Rows whose pixels have the same sum are left out, so that a sum tells which row it is.
    """
    found = find_spec("sklearn")  # to import it takes longer than a check
    assert found is not None and found.submodule_search_locations, "scikit-learn is a dependency"
    path = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    digits = np.loadtxt(path, np.uint8, delimiter=",")
    eight = np.round(digits[:, :-1].reshape(-1, 8, 8) * (255 / 16))
    large = np.pad(eight.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    _, first = np.unique(large.sum(axis=(1, 2)), return_index=True)
    rows = np.sort(first)[:180]
    images, labels = large[rows], digits[rows, -1]
    return {
        "train_images": images[:120],
        "train_labels": labels[:120],
        "test_images": images[120:],
        "test_labels": labels[120:],
    }
