"""The path of a training through parameter space."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.engines import Snapshot
from downslope.errors import InputError
from downslope.files import inside
from downslope.networks import flatten
from downslope.showing import Shown

if TYPE_CHECKING:
    import pandas as pd


def evenly(length: int, count: int) -> list[int]:
    """Return at most `count` positions of a sequence, evenly, the first and last among them.

    >>> evenly(5, 3), evenly(2, 3)
    ([0, 2, 4], [0, 1])
    """
    return np.unique(np.linspace(0, length - 1, count).round().astype(int)).tolist()


class Trajectory(Shown):
    """Flat parameter vectors along a training, recorded from any loop.

    Args:
        directory: where to keep the vectors; in memory where it is None. A directory that holds
            a trajectory is opened and can be gone on with. A network of 100 million parameters
            takes 400 MB a snapshot there, and next to nothing in memory.

    Raises:
        InputError: the directory holds something else, or cannot be written.

    >>> trajectory = Trajectory()
    >>> module = nn.Linear(3, 2)
    >>> trajectory.record(module, step=0, loss=1.0)
    >>> trajectory.vectors.shape
    (1, 8)
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self._size = 0
        self._vectors: list[NDArray[np.float32]] = []
        self._directory = directory
        if directory is not None:
            self._open(directory)

    @staticmethod
    def of(snapshots: Iterable[Snapshot]) -> Trajectory:
        """Collect an engine's snapshots."""
        trajectory = Trajectory()
        for snapshot in snapshots:
            trajectory.add(snapshot.parameters, step=snapshot.step, loss=snapshot.loss)
        return trajectory

    @staticmethod
    def from_arrays(
        steps: NDArray[np.generic],
        vectors: NDArray[np.generic],
        losses: NDArray[np.generic] | None = None,
    ) -> Trajectory:
        """Collect vectors, shape (snapshots, parameters), with their steps and losses, if known."""
        trajectory = Trajectory()
        for i, vector in enumerate(np.asarray(vectors, np.float32)):
            loss = np.nan if losses is None else float(losses[i])
            trajectory.add(vector, step=int(steps[i]), loss=loss)
        return trajectory

    def record(self, module: nn.Module, step: int, loss: float) -> None:
        """Copy the parameters of a module as they are now.

        Args:
            module: any module; it is only read.
            step: updates done so far; steps must increase.
            loss: the training loss at this step, for reference.

        Raises:
            InputError: a step that does not increase, or another number of parameters.
        """
        self.add(flatten(module), step=step, loss=loss)

    def add(self, parameters: NDArray[np.float32], *, step: int, loss: float) -> None:
        """Add a flat vector of shape (parameters,); see `record`."""
        if self.steps and step <= self.steps[-1]:
            raise InputError(f"trajectory: step {step} comes after step {self.steps[-1]}")
        if self.steps and parameters.shape != (self._size,):
            raise InputError(
                f"trajectory: {parameters.size} parameters at step {step}, "
                f"{self._size} before; all must be of one module"
            )
        self._size = parameters.size
        if self._directory is None:
            self._vectors.append(parameters)
        else:
            self._append(np.ascontiguousarray(parameters, np.float32), step, loss)
        self.steps.append(step)
        self.losses.append(loss)

    def __len__(self) -> int:
        return len(self.steps)

    def facts(self) -> Mapping[str, object]:
        """Return how many snapshots there are, of how many parameters, from where to where."""
        ends = (0, -1) if self.steps else ()
        return {
            "snapshots": len(self),
            "parameters": f"{self._size:,}",
            "steps": " to ".join(f"{self.steps[end]:,}" for end in ends),
            "loss": " to ".join(f"{self.losses[end]:.4g}" for end in ends),
            "directory": self._directory,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each snapshot: its step and its loss."""
        import pandas as pd

        return pd.DataFrame({"step": self.steps, "loss": self.losses})

    def thinned(self, count: int) -> Trajectory:
        """Return at most `count` of the snapshots, evenly, the first and the last among them.

        >>> path = Trajectory()
        >>> for step in range(9):
        ...     path.add(np.zeros(1, np.float32), step=step, loss=0.0)
        >>> path.thinned(3).steps
        [0, 4, 8]
        """
        some, vectors = Trajectory(), self.vectors
        for at in evenly(len(self), count):
            some.add(vectors[at], step=self.steps[at], loss=self.losses[at])
        return some

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Return the vectors, shape (snapshots, parameters); from disk, read where touched."""
        if not self.steps:
            return np.empty((0, 0), np.float32)
        if self._directory is None:
            return np.stack(self._vectors)
        shape = (len(self), self._size)
        return np.memmap(self._directory / "vectors.f32", np.float32, "r", shape=shape)

    def _open(self, directory: Path) -> None:
        index = inside(directory, "snapshots.jsonl")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lines = index.read_text("utf-8").splitlines() if index.exists() else []
            rows = [json.loads(line) for line in lines]
            self.steps = [int(row["step"]) for row in rows]
            self.losses = [float(row["loss"]) for row in rows]
            self._size = int(rows[0]["parameters"]) if rows else 0
            size = inside(directory, "vectors.f32").stat().st_size if rows else 0
        except OSError as error:
            raise InputError(f"{directory}: cannot be used ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{index}: damaged ({error})") from None
        if size < 4 * self._size * len(rows):
            raise InputError(
                f"{directory / 'vectors.f32'}: {size:,} bytes, too short for {len(rows)} snapshots"
            )

    def _append(self, vector: NDArray[np.float32], step: int, loss: float) -> None:
        assert self._directory is not None
        try:
            # The vector first: a snapshot counts once its line is written.
            with (self._directory / "vectors.f32").open("ab") as file:
                file.truncate(4 * self._size * len(self))
                file.write(vector.tobytes())
            with (self._directory / "snapshots.jsonl").open("a", encoding="utf-8") as file:
                row = {"step": step, "loss": loss, "parameters": vector.size}
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise InputError(f"{self._directory}: cannot be written ({error.strerror})") from None
