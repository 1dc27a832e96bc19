"""Watching a computation: bars with the time left on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from downslope.progress import Progress, Steps, T
from downslope.terminal import console, say

HEARTBEAT = 60
"""Seconds after which a stage that is still at work says how far it is, where there are no bars."""


class _Display(Protocol):
    def show(self, step: Progress) -> None: ...
    def end(self) -> None:
        """The last task is done."""
        ...


def watch(steps: Steps[T], quiet: bool) -> T:
    """Drain a computation, showing its progress on a terminal, or a line per stage elsewhere."""
    with _display(console(stderr=True), quiet) as display:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                display.end()
                return end.value
            except BaseException:
                steps.close()
                raise
            display.show(step)


@contextmanager
def _display(screen: Console, quiet: bool) -> Generator[_Display, None, None]:
    if quiet or not screen.is_terminal:
        yield _Silence() if quiet else _Lines()
        return
    columns = (
        TextColumn("{task.description:<16}", markup=False),
        BarColumn(bar_width=16, table_column=Column(min_width=16)),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(min_width=7)),
        # Where there is little room, the note is what is cut.
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
    )
    with Bar(*columns, console=screen) as bar:
        yield _Bars(bar)


class _Silence:
    def show(self, step: Progress) -> None: ...
    def end(self) -> None: ...


class _Bars:
    """A bar for each task; one ends at 100 %, with its clock stopped, when the next begins."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._ids: dict[str, TaskID] = {}
        self._now = ""

    def show(self, step: Progress) -> None:
        if step.task != self._now:
            self.end()
            self._now = step.task
        if step.task not in self._ids:
            label = step.stage or step.task
            self._ids[step.task] = self._bar.add_task(label, total=step.total, note="")
        within = step.task.removeprefix(step.stage).lstrip(": ") if step.stage else ""
        note = ": ".join(filter(None, [within, step.note]))
        self._bar.update(self._ids[step.task], completed=step.done, total=step.total, note=note)

    def end(self) -> None:
        if self._now:
            bar, number = self._bar, self._ids[self._now]
            total = bar.tasks[bar.task_ids.index(number)].total
            bar.update(number, completed=total)


class _Lines:
    """A line when a stage ends, or a task that belongs to none, and one a minute before."""

    def __init__(self) -> None:
        self._label = self._note = ""
        self._began = self._said = 0.0

    def show(self, step: Progress) -> None:
        now = time.monotonic()
        label = step.stage or step.task
        if label != self._label:
            self.end()
            self._label, self._began, self._said = label, now, now
        self._note = step.note
        if now - self._said >= HEARTBEAT and step.total:
            self._said = now
            say(f"{step.task}: {100 * step.done / step.total:.0f} %{self._rest()}", stderr=True)

    def end(self) -> None:
        if self._label:
            passed = time.monotonic() - self._began
            say(f"{self._label}: done in {passed:.0f} s{self._rest()}", stderr=True)

    def _rest(self) -> str:
        return f"; {self._note}" if self._note else ""
