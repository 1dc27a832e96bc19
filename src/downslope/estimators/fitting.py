"""Training one network within a scikit-learn estimator: early stopping, warm start, prediction."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Self

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from downslope.checked import read
from downslope.data import Encoding, Examples, Scaling
from downslope.engines import Checkpoint, EpochRecord, learning_rates, train
from downslope.engines.checkpoints import load_checkpoint
from downslope.errors import InputError
from downslope.estimators.preparation import (
    check_count,
    check_rows,
    fit_encoding,
    hold_out,
    name_columns,
    repeated,
    seed_of,
    take,
    warn_of_columns,
)
from downslope.estimators.scoring import Predicted, score
from downslope.estimators.tags import TakesTables
from downslope.models import Model, float64_outputs
from downslope.networks import (
    Member,
    NetworkSpec,
    TrainingSpec,
    build,
    flatten,
    load_state,
    running_statistics,
)
from downslope.terminal import say


class MLP(TakesTables, ABC):
    """Train one network; what it is trained on is the subclass's."""

    warns_of_columns = True
    """Whether `fit` warns of columns that it leaves out."""

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
        label_smoothing: float = 0.0,
        clip_norm: float = 0.0,
        batch_size: int = 32,
        epochs: int = 100,
        numbers: str = "standard",
        class_weight: Any = None,
        early_stopping: bool = False,
        scoring: Any = None,
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
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.numbers = numbers
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None) -> Self:
        """Train on rows and targets."""

    def _member(self, inputs: int, outputs: int, loss: str, seed: int) -> Member:
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if isinstance(sizes, Sequence | np.ndarray) else [sizes]
        own = {k: _plain(v) for k, v in self.get_params(deep=False).items()}
        network = {k: own[k] for k in NetworkSpec.__struct_fields__ if k in own}
        training = {k: own[k] for k in TrainingSpec.__struct_fields__ if k in own}
        widths = (inputs, *[_plain(w) for w in hidden], outputs)
        training["loss"] = loss
        table = {"network": {**network, "widths": widths}, "training": training, "seed": seed}
        return read(Member, table, type(self).__name__)

    def _fit(
        self,
        rows: Any,
        truth: NDArray[Any],
        targets: NDArray[Any],
        outputs: int,
        weights: NDArray[np.float64] | None,
        predicted: Callable[[NDArray[np.float64]], Predicted],
    ) -> None:
        """Train.

        Args:
            rows: from `check_rows`.
            truth: what the user wants predicted.
            targets: the same as codes of shape (rows,), or numbers of shape (rows, outputs).
            outputs: of the network.
            weights: of the rows, shape (rows,).
            predicted: what outputs of the network stand for.
        """
        name = type(self).__name__
        classes = targets if targets.ndim == 1 else None
        seed = self._seed = seed_of(self.random_state)
        check_count("n_iter_no_change", self.n_iter_no_change)
        if not isinstance(self.tol, numbers.Real) or math.isnan(self.tol):
            raise InputError(f"tol = {self.tol!r}; it must be a number")
        if self.scoring is not None and not self.early_stopping:
            raise InputError(f"{name}: scoring has no effect without early_stopping; leave it out")
        kept, held_out = np.arange(len(rows)), np.arange(0)
        if self.early_stopping:
            kept, held_out = hold_out(len(rows), self.validation_fraction, seed, classes)
        goes_on = self.warm_start and hasattr(self, "module_")
        if goes_on:  # weights that go on belong to the encoding they were trained in
            encoding = self.encoding_
        else:
            weighty = kept if weights is None else kept[weights[kept] > 0]
            encoding = fit_encoding(take(rows, weighty), self.numbers, name)
            if self.warns_of_columns:
                warn_of_columns(encoding, name)
            if classes is None:
                self._targets = fit_scaling(targets[weighty], self.numbers)
        member = self._member(
            len(encoding.features),
            outputs,
            "mean_squared_error" if classes is None else "cross_entropy",
            seed,
        )
        if goes_on and member.network != self.network_:
            raise InputError(
                f"warm_start: the fitted network {self.network_.label} is not the one asked for, "
                f"{member.network.label}; both, and how they are built, must be the same"
            )
        answers = targets if classes is not None else scaled(self._targets, targets)
        examples = Examples(encoding.transform(rows, "X"), answers)
        judge: Callable[[nn.Module], float] | None = None
        if self.scoring is not None:
            inputs = np.asarray(examples.inputs[held_out], np.float32)
            judge = self._judge(inputs, truth[held_out], predicted)
        training = examples.take(repeated(kept, weights, seed))
        self._train(
            member,
            training,
            examples.take(repeated(held_out, weights, seed)) if self.early_stopping else None,
            _beginning(member, self.module_, len(training)) if goes_on else None,
            judge,
        )
        self.encoding_: Encoding = encoding

    def _judge(
        self,
        inputs: NDArray[np.float32],
        truth: NDArray[Any],
        predicted: Callable[[NDArray[np.float64]], Predicted],
    ) -> Callable[[nn.Module], float]:
        """Make what scores a network on encoded rows; higher is better."""
        name = type(self).__name__
        return lambda module: score(
            predicted(float64_outputs(module, inputs)), self.scoring, truth, name
        )

    def _train(
        self,
        member: Member,
        training: Examples,
        validation: Examples | None,
        start: Checkpoint | None,
        judge: Callable[[nn.Module], float] | None,
    ) -> None:
        losses: list[float] = []
        validation_losses: list[float] = []
        scores: list[float] = []
        best, best_epoch, best_checkpoint = math.inf, 0, None
        to_beat, waited = math.inf, 0
        module = build(member.network, torch.Generator()).eval()
        steps = member.steps_per_epoch(len(training))
        records = train(
            [member],
            training,
            validation,
            threads=1,
            checkpoint_every=0 if validation is None else 1,
            resume={} if start is None else {0: start},
        )
        with closing(records):
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
                    validation_losses.append(record.validation_loss)
                    now = record.validation_loss
                    if judge is not None:
                        assert record.checkpoint is not None
                        load_checkpoint(module, record.checkpoint, steps * record.epoch)
                        scores.append(judge(module.eval()))
                        now = -scores[-1]
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
                    load_state(module, record.state)
        if best_checkpoint is not None:
            load_checkpoint(module, best_checkpoint, steps * best_epoch)
        self.module_ = module.eval()
        self.network_ = member.network
        self.n_iter_ = len(losses)
        self.loss_curve_ = losses
        self.loss_ = losses[-1]
        if validation is not None:
            self.validation_loss_curve_ = validation_losses
            self.best_epoch_ = best_epoch
        if judge is not None:
            self.validation_scores_ = scores

    def _line(self, record: EpochRecord) -> str:
        text = f"{type(self).__name__}: epoch {record.epoch} of {self.epochs}, "
        text += f"training loss {record.train_loss:.4g}"
        if self.early_stopping:
            text += f", validation loss {record.validation_loss:.4g}"
        return text

    @property
    def _encoding(self) -> Encoding:
        """The encoding with what the outputs stand for."""
        raise NotImplementedError

    def to_model(self, *, target: str = "") -> Model:
        """Return the fitted network as a `Model`, to save, export and use without scikit-learn.

        Args:
            target: the label column's name; `downslope predict` scores rows that have it.

        Raises:
            InputError: several numbers are predicted at once.
        """
        check_is_fitted(self)
        state = {name: value.numpy() for name, value in self.module_.state_dict().items()}
        encoding = name_columns(self._encoding, self)
        encoding = msgspec.structs.replace(encoding, target=target)
        return Model(self.network_, encoding, {self._seed: state})

    def _outputs(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the network's outputs, shape (rows, outputs)."""
        check_is_fitted(self)
        rows, _ = check_rows(self, X)
        return float64_outputs(self.module_, self.encoding_.transform(rows, "X"))


def fit_scaling(targets: NDArray[np.float64], method: str) -> Scaling:
    """Standardize numbers to predict, shape (rows, outputs), unless the inputs are left alone."""
    if method == "none":
        return Scaling()
    with np.errstate(over="ignore"):
        return Scaling.fit(Examples(targets, np.zeros(len(targets), np.int64)), None, 0.0)


def scaled(scaling: Scaling, targets: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return numbers to predict as the network does, shape (rows, outputs)."""
    try:
        return scaling.transform(targets)
    except InputError as error:
        raise InputError(f"y: {str(error).removeprefix('data: ')}") from None


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
