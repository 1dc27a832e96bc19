"""Watching a computation: bars on a terminal and in a notebook, a line per stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any, Literal, Protocol, get_args

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column

from downslope.errors import InputError
from downslope.progress import Progress, Steps, T, Watchable, steps_of
from downslope.terminal import console, harmless, say

HEARTBEAT = 60
"""Seconds after which a stage that is still at work says how far it is, where there are no bars."""

FRAME = 0.1
"""Seconds between two drawings of the bars of a notebook."""

Shape = Literal["auto", "lines", "none"]

_shape: Shape = "auto"


def set_progress(shape: Shape) -> None:
    """Choose how `watch` shows progress from here on.

    Args:
        shape: "auto" draws bars on a terminal and in a notebook and writes a line per stage
            elsewhere; "lines" writes lines everywhere; "none" shows nothing.

    Raises:
        InputError: another word.

    >>> set_progress("none")
    >>> set_progress("quiet")
    Traceback (most recent call last):
    ...
    downslope.errors.InputError: set_progress: 'quiet'; it must be 'auto', 'lines' or 'none'
    >>> set_progress("auto")
    """
    global _shape
    if shape not in get_args(Shape):
        *most, last = map(repr, get_args(Shape))
        raise InputError(f"set_progress: {shape!r}; it must be {', '.join(most)} or {last}")
    _shape = shape


class _Display(Protocol):
    def show(self, step: Progress) -> None: ...
    def end(self) -> None:
        """The last task is done."""
        ...


def watch(work: Steps[T] | Watchable[T], quiet: bool = False) -> T:
    """Run a computation to its end, show its progress, and return its result.

    Args:
        work: what yields `Progress`, as `compute_landscape` and `run_recipe` do, or the records
            of `train`.
        quiet: show nothing this time; see `set_progress`.

    >>> def count():
    ...     yield Progress("counting", 1, 2)
    ...     return 42
    >>> watch(count(), quiet=True)
    42
    """
    steps = steps_of(work)
    with _display(console(stderr=True), "none" if quiet else _shape) as display:
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
def _display(screen: Console, shape: Shape) -> Generator[_Display, None, None]:
    if shape == "none":
        yield _Silence()
    elif shape == "lines" or (shape == "auto" and not (screen.is_terminal or screen.is_jupyter)):
        yield _Lines()
    elif screen.is_jupyter:
        yield _Notebook()
    else:
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
        number = self._ids[step.task]
        self._bar.update(number, completed=step.done, total=step.total, note=_note(step))

    def end(self) -> None:
        if self._now:
            bar, number = self._bar, self._ids[self._now]
            total = bar.tasks[bar.task_ids.index(number)].total
            bar.update(number, completed=total)


def _note(step: Progress) -> str:
    """Return what stands beside a bar that is labelled by its stage."""
    within = step.task.removeprefix(step.stage).lstrip(": ") if step.stage else ""
    return ": ".join(filter(None, [within, step.note]))


class _Notebook:
    """The same bars as HTML in one output of a cell, which each drawing replaces."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._now = ""
        self._drawn = 0.0
        self._output: Any = None

    def show(self, step: Progress) -> None:
        if step.task != self._now:
            self._finish()
            self._now = step.task
        row = self._rows.setdefault(step.task, _Row(step.stage or step.task))
        row.share = min(1.0, step.done / step.total) if step.total else 0.0
        row.note = _note(step)
        if time.monotonic() - self._drawn >= FRAME:
            self._draw()

    def end(self) -> None:
        self._finish()
        self._draw()

    def _finish(self) -> None:
        if self._now:
            row = self._rows[self._now]
            row.share, row.seconds = 1.0, time.monotonic() - row.began

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        # Found by name: only who runs in a notebook needs to have it.
        display = import_module("IPython.display").display
        data = {
            "text/plain": "\n".join(row.text() for row in self._rows.values()),
            "text/html": f"<table>{''.join(row.html() for row in self._rows.values())}</table>",
        }
        if self._output is None:
            self._output = display(data, raw=True, display_id=True)
        else:
            self._output.update(data, raw=True)


class _Row:
    """A bar of a notebook."""

    def __init__(self, label: str) -> None:
        self.label, self.note, self.share = label, "", 0.0
        self.began = time.monotonic()
        self.seconds: float | None = None

    def _cells(self) -> tuple[str, ...]:
        passed = time.monotonic() - self.began
        left = f"{passed / self.share - passed:.0f} s left" if self.share else ""
        clock = left if self.seconds is None else f"{self.seconds:.1f} s"
        return (self.label, f"{100 * self.share:.0f} %", clock, self.note)

    def text(self) -> str:
        return harmless("  ".join(filter(None, self._cells())))

    def html(self) -> str:
        style = "white-space: nowrap"
        label, *rest = (f'<td style="{style}">{escape(cell)}</td>' for cell in self._cells())
        bar = f'<progress value="{self.share:.4f}" aria-label="{escape(self.label)}"></progress>'
        return f"<tr>{label}<td>{bar}</td>{''.join(rest)}</tr>"


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
