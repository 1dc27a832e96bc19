"""Training one network within a scikit-learn estimator: early stopping, warm start, prediction."""

from __future__ import annotations

import copy
import math
import numbers
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from downslope.checked import read
from downslope.data import Examples
from downslope.engines import Checkpoint, EpochRecord, learning_rates, train
from downslope.engines.checkpoints import load_checkpoint
from downslope.engines.pytorch import predict_module
from downslope.errors import InputError
from downslope.estimators.preparation import (
    Standardization,
    check_inputs,
    hold_out,
)
from downslope.networks import (
    Member,
    NetworkSpec,
    TrainingSpec,
    build,
    flatten,
    running_statistics,
)
from downslope.terminal import say

# Predicting sets torch's thread count and puts it back: two threads at once would mix that up.
_PREDICTING = threading.Lock()


def seed_of(random_state: Any) -> int:
    """Return a member's seed: a whole number as it is, otherwise drawn as scikit-learn does.

    Raises:
        InputError: a negative number.
    """
    if isinstance(random_state, numbers.Integral):
        if random_state < 0:
            raise InputError(f"random_state = {random_state}; it must be 0 or more, or None")
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number from `least` up.

    Raises:
        InputError: the message names it.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    if not whole or value < least:
        raise InputError(f"{name} = {value!r}; it must be a whole number, {least} or more")


class MLP(BaseEstimator, ABC):
    """Train one network; what it is trained on is the subclass's."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        activation: str = "relu",
        normalization: str = "none",
        dropout: float = 0.0,
        initialization: str = "pytorch",
        optimizer: str = "adam",
        learning_rate: float = 0.005,
        schedule: str = "constant",
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decay_on: str = "weights",
        clip_norm: float = 0.0,
        batch_size: int = 32,
        epochs: int = 100,
        standardize: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.normalization = normalization
        self.dropout = dropout
        self.initialization = initialization
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.decay_on = decay_on
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.standardize = standardize
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on rows and targets."""

    def _member(self, inputs: int, outputs: int, loss: str, smoothing: float, seed: int) -> Member:
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if isinstance(sizes, Sequence | np.ndarray) else [sizes]
        own = {k: _plain(v) for k, v in self.get_params(deep=False).items()}
        network = {k: own[k] for k in NetworkSpec.__struct_fields__ if k in own}
        training = {k: own[k] for k in TrainingSpec.__struct_fields__ if k in own}
        training |= {"loss": loss, "label_smoothing": smoothing}
        widths = (inputs, *[_plain(w) for w in hidden], outputs)
        table = {"network": {**network, "widths": widths}, "training": training, "seed": seed}
        return read(Member, table, type(self).__name__)

    def _fit(
        self,
        rows: NDArray[np.floating],
        targets: NDArray[Any],
        outputs: int,
        smoothing: float = 0.0,
    ) -> None:
        classes = targets if targets.ndim == 1 else None
        seed = seed_of(self.random_state)
        member = self._member(
            rows.shape[1],
            outputs,
            "mean_squared_error" if classes is None else "cross_entropy",
            smoothing,
            seed,
        )
        check_count("n_iter_no_change", self.n_iter_no_change)
        if not isinstance(self.tol, numbers.Real) or math.isnan(self.tol):
            raise InputError(f"tol = {self.tol!r}; it must be a number")
        goes_on = self.warm_start and hasattr(self, "module_")
        if goes_on and member.network != self.network_:
            raise InputError(
                f"warm_start: the fitted network {self.network_.label} is not the one asked for, "
                f"{member.network.label}; both, and how they are built, must be the same"
            )
        kept, held_out = np.arange(len(rows)), np.arange(0)
        if self.early_stopping:
            codes = None if classes is None else classes.astype(np.int64)
            kept, held_out = hold_out(len(rows), self.validation_fraction, seed, codes)
        if not goes_on:  # weights that go on belong to the scale they were trained in
            self._inputs = Standardization(rows[kept], self.standardize, "X")
            if classes is None:
                self._targets = Standardization(targets[kept], self.standardize, "y")
        answers: NDArray[Any] = targets if classes is not None else self._targets.apply(targets)
        examples = Examples(self._inputs.apply(rows), answers)
        self._train(
            member,
            examples.take(kept),
            examples.take(held_out) if self.early_stopping else None,
            _beginning(member, self.module_, len(kept)) if goes_on else None,
        )

    def _train(
        self,
        member: Member,
        training: Examples,
        validation: Examples | None,
        start: Checkpoint | None,
    ) -> None:
        losses: list[float] = []
        validation_losses: list[float] = []
        best, best_epoch, best_checkpoint = math.inf, 0, None
        to_beat, waited = math.inf, 0
        module = build(member.network, torch.Generator())
        records = train(
            [member],
            training,
            validation,
            threads=1,
            checkpoint_every=0 if validation is None else 1,
            resume={} if start is None else {0: start},
        )
        with closing(cast(Generator[EpochRecord], records)):
            for record in records:
                if record.outcome in ("diverged", "failed"):
                    advice = (
                        "; lower learning_rate, or set clip_norm"
                        if record.outcome == "diverged"
                        else ""
                    )
                    raise InputError(
                        f"{type(self).__name__}: training {record.outcome}: {record.reason}{advice}"
                    )
                losses.append(record.train_loss)
                if self.verbose:
                    say(self._line(record))
                if validation is not None:
                    now = record.validation_loss
                    validation_losses.append(now)
                    if now < best:
                        best, best_epoch = now, record.epoch
                        best_checkpoint = record.checkpoint
                    if now < to_beat - self.tol:
                        to_beat, waited = now, 0
                    else:
                        waited += 1
                    if record.outcome is None and waited >= self.n_iter_no_change:
                        break
                if record.state is not None:
                    module.load_state_dict(
                        {k: torch.from_numpy(np.array(v)) for k, v in record.state.items()}
                    )
        if best_checkpoint is not None:
            steps = member.steps_per_epoch(len(training)) * best_epoch
            load_checkpoint(module, best_checkpoint, steps)
        self.module_ = module.eval()
        self.network_ = member.network
        self.n_iter_ = len(losses)
        self.loss_curve_ = losses
        self.loss_ = losses[-1]
        if validation is not None:
            self.validation_loss_curve_ = validation_losses
            self.best_epoch_ = best_epoch

    def _line(self, record: EpochRecord) -> str:
        text = f"{type(self).__name__}: epoch {record.epoch} of {self.epochs}, "
        text += f"training loss {record.train_loss:.4g}"
        if self.early_stopping:
            text += f", validation loss {record.validation_loss:.4g}"
        return text

    def _outputs(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the network's outputs, computed in float64, shape (rows, outputs)."""
        check_is_fitted(self)
        inputs = torch.from_numpy(self._inputs.apply(check_inputs(self, X)))
        # In float64, so that a row's prediction does not depend on the rows beside it.
        wide = copy.deepcopy(self.module_).double()
        with _PREDICTING:
            return predict_module(wide, inputs.double()).numpy()


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's: searches over np.logspace hand them in."""
    return value.item() if isinstance(value, np.generic) else value


def _beginning(member: Member, module: nn.Module, rows: int) -> Checkpoint:
    """Make the checkpoint before a member's first epoch that has the weights of a module."""
    generator = torch.Generator().manual_seed(member.seed)
    build(member.network, generator)  # the draws that an initialization makes
    flat = flatten(module)
    steps = member.steps_per_epoch(rows)
    return Checkpoint(
        member=member,
        epoch=0,
        rate=float(learning_rates(member.training, steps)[0]),
        arrays={
            "parameters": flat,
            "buffers": running_statistics(module),
            "generator": generator.get_state().numpy().copy(),
            "moment0": np.zeros_like(flat),
            "moment1": np.zeros_like(flat),
        },
    )
