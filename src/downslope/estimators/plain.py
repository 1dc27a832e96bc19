"""One network as a scikit-learn estimator, trained by the compiled engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags

from downslope.errors import InputError
from downslope.estimators.fitting import MLP
from downslope.estimators.preparation import check_labelled, check_measured


class MLPClassifier(ClassifierMixin, MLP):
    """Classify with one dense network.

    Inputs are standardized on the training rows (`standardize`). Sparse rows are taken and made
    dense. The parameters that `NetworkSpec` and `TrainingSpec` have too mean the same there; the
    others are as in scikit-learn's estimator of this name.

    Args:
        hidden_layer_sizes: units per hidden layer; () is a linear classifier.
        activation: "relu", "leaky_relu", "elu", "prelu", "gelu" or "tanh".
        normalization: "none" or "batch".
        dropout: of hidden units, in [0, 1).
        initialization: "pytorch", "he", "xavier", "lecun" or "orthogonal".
        optimizer: "adam", "adamw" or "sgd".
        learning_rate: constant, or the start of "cosine", or the peak of "one_cycle".
        schedule: "constant", "cosine" or "one_cycle", over all `epochs`.
        momentum: of SGD.
        nesterov: Nesterov's momentum.
        weight_decay: L2 penalty added to the gradient.
        decay_on: "weights" or "all" parameters.
        label_smoothing: of the targets in training, in [0, 1).
        clip_norm: largest norm of the gradient; 0 does not clip.
        batch_size: rows per minibatch.
        epochs: passes over the rows; with `early_stopping` at most.
        standardize: bring columns to mean 0 and variance 1 before the network.
        early_stopping: hold out `validation_fraction` of the rows, stop when their loss no longer
            falls, and keep the weights of the epoch where it was lowest.
        validation_fraction: of the rows, only with `early_stopping`.
        n_iter_no_change: epochs to wait for a validation loss lower by `tol`.
        tol: the least fall of the validation loss worth waiting for.
        warm_start: go on from the weights of the last `fit`, and in its scale; the optimizer
            starts anew.
        random_state: a whole number is the seed of the PyTorch loop that this training equals.
        verbose: print a line per epoch.

    Attributes:
        classes_: the labels, sorted.
        module_: the trained `nn.Sequential`; it takes standardized rows.
        network_: its `NetworkSpec`.
        loss_curve_: training loss of each epoch; `loss_` is the last one.
        n_iter_: epochs trained.
        validation_loss_curve_, best_epoch_: with `early_stopping`.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    Raises:
        InputError: (a `ValueError`) a parameter is not allowed, or the training diverged.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(MLPClassifier(random_state=541).fit(X, y).score(X, y) > 0.95)
    True
    """

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
        standardize: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation=activation,
            normalization=normalization,
            dropout=dropout,
            initialization=initialization,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            decay_on=decay_on,
            clip_norm=clip_norm,
            batch_size=batch_size,
            epochs=epochs,
            standardize=standardize,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.label_smoothing = label_smoothing

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on rows of shape (rows, features) and labels of shape (rows,) of any type.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, labels = check_labelled(self, X, y)
        classes, codes = np.unique(labels, return_inverse=True)
        goes_on = self.warm_start and hasattr(self, "classes_")
        if goes_on and not np.array_equal(classes, self.classes_):
            raise InputError(
                f"warm_start: the classes of y are {list(classes)}, but those fitted are "
                f"{list(self.classes_)}; they must be the same"
            )
        self._fit(rows, codes.astype(np.int64), len(classes), self.label_smoothing)
        self.classes_ = classes
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class (softmax), shape (rows, classes)."""
        return torch.from_numpy(self._outputs(X)).softmax(1).numpy()

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class, shape (rows, classes)."""
        return torch.from_numpy(self._outputs(X)).log_softmax(1).numpy()

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Return the most probable label of each row, shape (rows,)."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(1)]


class MLPRegressor(RegressorMixin, MLP):
    """Predict numbers with one dense network, one output per column of y.

    The parameters are those of `MLPClassifier`, without label_smoothing; `standardize` brings y
    to mean 0 and variance 1 too, and predictions back.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor((20,), epochs=30, random_state=541).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on rows of shape (rows, features) and numbers, (rows,) or (rows, outputs).

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, targets = check_measured(self, X, y)
        columns = targets.reshape(len(targets), -1)
        self._fit(rows, columns, columns.shape[1])
        self._flat = targets.ndim == 1
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predicted numbers, of as many dimensions as y had."""
        outputs = self._outputs(X)
        columns = self._targets.undo(outputs)
        return columns[:, 0] if self._flat else columns
