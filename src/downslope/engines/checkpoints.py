"""Pausing a member and going on with it, in another process if need be, to the same bits."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import nn

from downslope.errors import InputError
from downslope.networks import (
    Member,
    flatten,
    load_flat,
    load_running_statistics,
    running_statistics,
)

# The optimizer's moments by torch's names, in the order of "moment0", "moment1".
_MOMENTS = {"sgd": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq")}
_MOMENTS["adamw"] = _MOMENTS["adam"]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to go on with a member after an epoch, to the same bits.

    Args:
        member: what is being trained.
        epoch: epochs done.
        rate: the learning rate that the next step will use.
        arrays: "parameters" and "moment0", "moment1" of the optimizer as flat vectors, "buffers"
            of batch norm (running mean and variance, layer by layer), "generator", the state of
            the member's random stream.
    """

    member: Member
    epoch: int
    rate: float
    arrays: dict[str, NDArray[np.generic]]

    def to_bytes(self) -> bytes:
        """Write as safetensors, the member in its metadata."""
        metadata = {
            "member": msgspec.json.encode(self.member).decode(),
            "epoch": str(self.epoch),
            "rate": self.rate.hex(),
        }
        return save(dict(self.arrays), metadata)

    @staticmethod
    def from_bytes(content: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote.

        Raises:
            InputError: it is something else, or damaged.
        """
        try:
            length = int.from_bytes(content[:8], "little")
            metadata = json.loads(content[8 : 8 + length])["__metadata__"]
            return Checkpoint(
                member=msgspec.json.decode(metadata["member"], type=Member),
                epoch=int(metadata["epoch"]),
                rate=float.fromhex(metadata["rate"]),
                arrays=load(content),
            )
        except Exception as error:  # safetensors, json and msgspec each have their own
            raise InputError(f"checkpoint: damaged or none ({error})") from None


def load_checkpoint(module: nn.Sequential, checkpoint: Checkpoint, steps: int) -> None:
    """Put a checkpoint's weights and statistics, of after `steps` minibatches, into a module."""
    load_flat(module, np.asarray(checkpoint.arrays["parameters"], np.float32))
    load_running_statistics(module, np.asarray(checkpoint.arrays["buffers"], np.float32), steps)


@dataclass(frozen=True, slots=True)
class TorchState:
    """A member in training in PyTorch: what its next epoch depends on."""

    member: Member
    module: nn.Sequential
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    generator: torch.Generator

    def parameters(self) -> NDArray[np.float32]:
        """Return the parameters as a flat vector."""
        return flatten(self.module)

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Return the module's state by name, as arrays."""
        return {name: v.cpu().numpy().copy() for name, v in self.module.state_dict().items()}

    def checkpoint(self, epoch: int) -> Checkpoint:
        """Take a checkpoint after an epoch."""
        arrays: dict[str, NDArray[np.generic]] = {
            "parameters": self.parameters(),
            "buffers": running_statistics(self.module),
            "generator": self.generator.get_state().numpy().copy(),
        }
        for which, name in enumerate(_MOMENTS[self.member.training.optimizer]):
            states = [self.optimizer.state[p].get(name) for p in self.module.parameters()]
            if all(state is not None for state in states):
                flat = torch.cat([state.reshape(-1) for state in states])
                arrays[f"moment{which}"] = flat.cpu().numpy()
        rate = float(self.optimizer.param_groups[0]["lr"])
        return Checkpoint(member=self.member, epoch=epoch, rate=rate, arrays=arrays)

    def restore(self, checkpoint: Checkpoint, steps: int) -> None:
        """Go to where a checkpoint was taken, `steps` after the start."""
        arrays = checkpoint.arrays
        load_checkpoint(self.module, checkpoint, steps)
        for which, name in enumerate(_MOMENTS[self.member.training.optimizer]):
            if f"moment{which}" not in arrays:
                continue
            flat = torch.from_numpy(np.array(arrays[f"moment{which}"], np.float32))
            parts = flat.split([p.numel() for p in self.module.parameters()])
            for parameter, part in zip(self.module.parameters(), parts, strict=True):
                state = self.optimizer.state[parameter]
                state[name] = part.reshape(parameter.shape).to(parameter.device, copy=True)
                if name != "momentum_buffer":
                    state["step"] = torch.tensor(float(steps))
        for group in self.optimizer.param_groups:
            group["lr"] = checkpoint.rate
        if self.scheduler is not None:
            self.scheduler.last_epoch = steps
        self.generator.set_state(torch.from_numpy(np.array(arrays["generator"], np.uint8)))
