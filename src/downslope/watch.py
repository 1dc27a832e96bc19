"""Watching a computation: bars with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from downslope.progress import Steps, T
from downslope.terminal import console, say

Show = Callable[[str, float, float, str], None]


def watch(steps: Steps[T], quiet: bool) -> T:
    """Drain a computation, showing its progress on a terminal, or a line now and then elsewhere."""
    screen = console(stderr=True)
    with _display(screen, quiet) as show:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            except BaseException:
                steps.close()
                raise
            show(step.task, step.done, step.total, step.note)


@contextmanager
def _display(screen: Console, quiet: bool) -> Generator[Show, None, None]:
    if quiet:
        yield _say_nothing
    elif screen.is_terminal:
        columns = (
            TextColumn("{task.description:<16}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bar(*columns, console=screen) as bar:
            tasks: dict[str, TaskID] = {}

            def show(task: str, done: float, total: float, note: str) -> None:
                if task not in tasks:
                    tasks[task] = bar.add_task(task, total=total, note="")
                bar.update(tasks[task], completed=done, total=total, note=note)

            yield show
    else:
        yield _Lines()


def _say_nothing(task: str, done: float, total: float, note: str) -> None:
    pass


class _Lines:
    """Print a line when a task begins, when it ends, and every 20 seconds in between."""

    def __init__(self) -> None:
        self._task = ""
        self._began = self._said = 0.0

    def __call__(self, task: str, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if task != self._task:
            self._task, self._began = task, now
        elif done < total and now - self._said < 20:
            return
        self._said = now
        passed = now - self._began
        left = f", about {passed * (total - done) / done:.0f} s left" if 0 < done < total else ""
        share = f"{100 * done / total if total else 100:.0f} %"
        text = f"{task}: {share} after {passed:.0f} s{left}" + (f"; {note}" if note else "")
        say(text, stderr=True)
