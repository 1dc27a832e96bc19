"""The path of a training through parameter space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from downslope.engines import Snapshot
from downslope.errors import InputError
from downslope.networks import flatten


@dataclass(slots=True)
class Trajectory:
    """Record flat parameter vectors along a training, from any loop.

    >>> trajectory = Trajectory()
    >>> module = nn.Linear(3, 2)
    >>> trajectory.record(module, step=0, loss=1.0)
    >>> trajectory.vectors.shape
    (1, 8)
    """

    steps: list[int] = field(default_factory=list[int])
    losses: list[float] = field(default_factory=list[float])
    _vectors: list[NDArray[np.float32]] = field(default_factory=list[NDArray[np.float32]])

    @staticmethod
    def of(snapshots: Iterable[Snapshot]) -> Trajectory:
        """Collect an engine's snapshots."""
        trajectory = Trajectory()
        for snapshot in snapshots:
            trajectory.add(snapshot.parameters, step=snapshot.step, loss=snapshot.loss)
        return trajectory

    def record(self, module: nn.Module, *, step: int, loss: float) -> None:
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
        if self._vectors and parameters.shape != self._vectors[0].shape:
            raise InputError(
                f"trajectory: {parameters.size} parameters at step {step}, "
                f"{self._vectors[0].size} before; all must be of one module"
            )
        self.steps.append(step)
        self.losses.append(loss)
        self._vectors.append(parameters)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Stack the vectors, shape (snapshots, parameters)."""
        return np.stack(self._vectors) if self._vectors else np.empty((0, 0), np.float32)
