"""What is observed of a search: which rows it trains and evaluates, what it chooses, and by what.

Everybody's search space is another, so that numbers cannot be compared; these facts can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.data import TensorDataset

from downslope.assignment.comparison import NO_ATTEMPT, NOT_THE_BEST

_SEEDS = (541, 7, 99)


@dataclass(slots=True)
class _Attempt:
    """One optimizer that took steps, and what was seen of its network."""

    optimizer: Optimizer
    rate: float
    trained: list[str] = field(default_factory=list[str])
    correct: dict[str, bool] = field(default_factory=dict[str, bool])
    signature: float = 0.0

    @property
    def accuracy(self) -> float:
        """Of the last evaluation on validation data."""
        return sum(self.correct.values()) / max(1, len(self.correct))


class _Watch:
    """Follows every forward pass of a whole network and every step of an optimizer."""

    def __init__(self, training: TensorDataset, validation: TensorDataset) -> None:
        self.rows: dict[int, str] = {}
        self.labels: dict[str, int] = {}
        for name, dataset in (("train", training), ("val", validation)):
            for i, key in enumerate(_keys(dataset.tensors[0])):
                self.rows[key] = f"{name} {i}"
                self.labels[f"{name} {i}"] = int(dataset.tensors[1][i])
        self.features = dataset.tensors[0].shape[1]
        self.attempts: list[_Attempt] = []
        self.modes: set[str] = set()
        self.gradients: set[str] = set()
        self.others = self.decayed_bias = False
        self.seeds = 0
        self.depth = 0
        self.last: list[str] = []

    @property
    def best(self) -> float:
        """The highest accuracy of an attempt."""
        return max((attempt.accuracy for attempt in self.attempts), default=0.0)

    def before(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.depth += 1
        if self.depth > 1 or not inputs or not self._fits(inputs[0]):
            return
        rows = [self.rows.get(key, "other") for key in _keys(inputs[0])]
        self.others |= "other" in rows
        if torch.is_grad_enabled():
            self.last = rows
        if rows[0].startswith("val") and not _trains(model):
            self.modes.add("training" if model.training else "evaluation")
            self.gradients.add("with" if torch.is_grad_enabled() else "without")

    def after(self, model: nn.Module, inputs: tuple[Any, ...], outputs: Any) -> None:
        self.depth -= 1
        if self.depth or not self.attempts or not inputs or not self._fits(inputs[0]):
            return
        if _trains(model):
            return
        attempt, evaluated = self.attempts[-1], False
        chosen = outputs.detach().argmax(dim=1).tolist()
        for key, prediction in zip(_keys(inputs[0]), chosen, strict=True):
            row = self.rows.get(key, "other")
            if row.startswith("val"):
                attempt.correct[row] = prediction == self.labels[row]
                evaluated = True
        if evaluated:
            attempt.signature = sum(float(p.detach().double().sum()) for p in model.parameters())

    def stepped(self, optimizer: Optimizer, *_: Any) -> None:
        if not self.attempts or self.attempts[-1].optimizer is not optimizer:
            rate = float(optimizer.param_groups[0]["lr"])
            self.attempts.append(_Attempt(optimizer, rate))
            decayed = [group for group in optimizer.param_groups if group.get("weight_decay")]
            self.decayed_bias |= any(p.dim() < 2 for group in decayed for p in group["params"])
        self.attempts[-1].trained += self.last

    def _fits(self, inputs: Any) -> bool:
        return isinstance(inputs, torch.Tensor) and inputs[0].numel() == self.features


def _trains(model: nn.Module) -> bool:
    return model.training and torch.is_grad_enabled()


def _keys(inputs: torch.Tensor) -> list[int]:
    """Tell rows apart by their sums of pixels, which differ in the data of a check."""
    sums = (inputs.detach().reshape(len(inputs), -1).double() + 0.5).sum(dim=1) * 255
    return [round(value) for value in sums.tolist()]


def _watched(watch: _Watch, tune: Callable[[], Any]) -> Any:
    """Run a search with every pass and step followed."""
    seed = torch.manual_seed

    def counted(value: int) -> torch.Generator:
        watch.seeds += 1
        return seed(value)

    handles = [
        hooks.register_module_forward_pre_hook(watch.before),
        hooks.register_module_forward_hook(watch.after, always_call=True),
        register_optimizer_step_post_hook(watch.stepped),
    ]
    torch.manual_seed = torch.random.manual_seed = counted
    try:
        return tune()
    finally:
        torch.manual_seed = torch.random.manual_seed = seed
        for handle in handles:
            handle.remove()


def watch_tuning(
    tune: Callable[[int], Any], training: TensorDataset, validation: TensorDataset
) -> Iterator[tuple[str, Any]]:
    """Run a search and yield facts about it."""
    watch, returned = _Watch(training, validation), None
    for seed in _SEEDS:
        watch = _Watch(training, validation)
        returned = _watched(watch, lambda seed=seed: tune(seed))
        last = watch.attempts[-1:]
        if not any(a.accuracy == watch.best for a in last):
            break  # otherwise whoever returns the last returns the best as well
    attempts = watch.attempts
    yield "tries ten settings or more", len(attempts) >= 10
    yield "tries several learning rates", len({attempt.rate for attempt in attempts}) > 1
    yield "trains on validation rows", _any(attempts, lambda row: row.startswith("val"))
    yield "uses rows of neither set", watch.others
    yield "decays biases", watch.decayed_bias
    epochs = [[row for row in a.trained if row.startswith("train")] for a in attempts]
    yield "shuffles", _shuffled(epochs, len(training))
    yield "trains on every row in every epoch", all(len(e) % len(training) == 0 for e in epochs)
    yield "sets a seed for each attempt", watch.seeds >= len(attempts)
    yield "mode on validation rows", " and ".join(sorted(watch.modes)) or "not evaluated"
    yield "gradients on validation rows", " and ".join(sorted(watch.gradients)) or "not evaluated"
    yield "returns", _returned(returned, attempts)


def _any(attempts: list[_Attempt], test: Callable[[str], bool]) -> bool:
    return any(test(row) for attempt in attempts for row in attempt.trained)


def _shuffled(trained: list[list[str]], rows: int) -> bool:
    """Tell whether an epoch's order differs from the next one's."""
    pairs = [(one[:rows], one[rows : 2 * rows]) for one in trained]
    return any(first != second for first, second in pairs if len(second) == rows)


def _returned(returned: Any, attempts: list[_Attempt]) -> str:
    """Say which attempt the returned accuracy or weights belong to."""
    parts: list[Any] = list(returned) if isinstance(returned, list | tuple) else [returned]
    if not attempts:
        return "nothing that was trained"
    best = max(attempt.accuracy for attempt in attempts)
    by_place = [
        ("the best attempt", [a for a in attempts if a.accuracy == best]),
        ("the last attempt", attempts[-1:]),
        ("the worst attempt", [min(attempts, key=lambda a: a.accuracy)]),
        (NOT_THE_BEST, attempts),
    ]
    for value in parts:
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, float | int) and not isinstance(value, bool):
            shares = [value, value / 100]
            for words, some in by_place:
                if any(abs(share - a.accuracy) < 1e-6 for a in some for share in shares):
                    return words
            return NO_ATTEMPT
    for value in parts:
        state = value.state_dict() if isinstance(value, nn.Module) else value
        if isinstance(state, dict) and any(isinstance(v, torch.Tensor) for v in state.values()):
            total = sum(float(v.double().sum()) for v in state.values())
            for words, some in by_place:
                if any(abs(total - a.signature) < 1e-4 for a in some):
                    return words
            return NO_ATTEMPT
    return "the best attempt"  # a configuration alone: nothing that could be compared
