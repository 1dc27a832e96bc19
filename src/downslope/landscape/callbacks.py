"""Callbacks for other libraries' training loops that record a trajectory.

Their libraries are imported when a callback is made, and not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import nn

from downslope.checked import Count, checked
from downslope.errors import InputError
from downslope.landscape.trajectory import Trajectory


@checked("callback")
def lightning_callback(trajectory: Trajectory, *, every: Count = 100, part: str = "") -> Any:
    """Make a callback for a `Trainer` of Lightning, the package `lightning` or `pytorch_lightning`.

    It records the parameters before the first step, after each `every`-th, and after the last,
    with the loss of the last batch before. Of several processes, the first records; parameters
    that are sharded over them cannot be recorded.

    Args:
        trajectory: what is recorded into. Where it already holds steps, from a training that is
            resumed, later ones are added.
        every: optimizer steps between two records.
        part: records a submodule of the `LightningModule` by its name, such as "model", and not
            all of it; the landscape is then that of this module.

    Raises:
        InputError: Lightning is not installed, or a number out of range; when training begins, no
            such submodule.
    """
    library = _library("lightning", "lightning.pytorch", "pytorch_lightning")

    class TrajectoryCallback(library.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.loss = float("nan")
            self._record(trainer, pl_module)

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self.loss = float(loss) if isinstance(loss, torch.Tensor) else float("nan")
            if pl_module.automatic_optimization:  # Lightning divides by what it accumulates
                self.loss *= trainer.accumulate_grad_batches
            if trainer.global_step % every == 0:
                self._record(trainer, pl_module)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._record(trainer, pl_module)

        def _record(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                module = _submodule(pl_module, part)
                _record(trajectory, module, trainer.global_step, self.loss)

    return TrajectoryCallback()


@checked("callback")
def trainer_callback(trajectory: Trajectory, *, every: Count = 100) -> Any:
    """Make a callback for the `Trainer` of Hugging Face's `transformers`.

    It records as `lightning_callback` does. The losses are not known: this trainer does not hand
    them to callbacks step by step.

    Args:
        trajectory: what is recorded into, as for `lightning_callback`.
        every: optimizer steps between two records.

    Raises:
        InputError: transformers is not installed, or a number out of range.
    """
    library = _library("transformers", "transformers")

    class TrajectoryCallback(library.TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._record(state, more["model"])

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step % every == 0:
                self._record(state, more["model"])

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self._record(state, more["model"])

        def _record(self, state: Any, model: nn.Module) -> None:
            if state.is_world_process_zero:
                _record(trajectory, model, state.global_step, float("nan"))

    return TrajectoryCallback()


def _record(trajectory: Trajectory, module: nn.Module, step: int, loss: float) -> None:
    """Record a step that is later than the last; a batch may end without a step."""
    if not trajectory.steps or step > trajectory.steps[-1]:
        trajectory.record(module, step, loss)


def _submodule(module: nn.Module, name: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError:
        names = ", ".join(name for name, _ in module.named_children())
        raise InputError(f"callback: part = {name!r}; the module has {names}") from None


def _library(extra: str, *names: str) -> Any:
    """Import the first library that is there."""
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise  # it is there, and lacks something
    raise InputError(f"callback: {names[0]} is not installed; pip install 'downslope[{extra}]'")
