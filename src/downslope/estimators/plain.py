"""One network as a scikit-learn estimator, trained by the compiled engine."""

from __future__ import annotations

from typing import Any, Self

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin

from downslope.data import Encoding
from downslope.errors import InputError
from downslope.estimators.fitting import MLP
from downslope.estimators.preparation import check_rows, weights_of
from downslope.estimators.scoring import PredictedClasses, PredictedNumbers
from downslope.estimators.tags import PredictsNumbers


class MLPClassifier(ClassifierMixin, MLP):
    """Classify with one dense network.

    Columns of any kind are encoded on the training rows, as `downslope.data.Encoding` does:
    numbers by `numbers`, categories one-hot, dates by their parts, missing values filled with an
    indicator beside them. Sparse rows are taken and made dense. The parameters that `NetworkSpec`
    and `TrainingSpec` have too mean the same there; the others are as in scikit-learn's estimator
    of this name.

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
        numbers: how columns of numbers are encoded: "standard" (mean 0 and variance 1),
            "quantile" (to a normal distribution), "piecewise-linear" (Gorishniy et al. 2022) or
            "none", which leaves the y of a regressor alone too.
        class_weight: "balanced", or a weight by label; a row counts as often as its weight says
            (see `sample_weight` of `fit`).
        early_stopping: hold out `validation_fraction` of the rows, stop when their loss no longer
            falls, and keep the weights of the epoch where it was lowest.
        scoring: a scorer of scikit-learn in place of the validation loss, higher being better;
            only with `early_stopping`.
        validation_fraction: of the rows, only with `early_stopping`.
        n_iter_no_change: epochs to wait for a validation loss (or score) better by `tol`.
        tol: the least improvement worth waiting for.
        warm_start: go on from the weights of the last `fit`, and in its scale; the optimizer
            starts anew.
        random_state: a whole number is the seed of the PyTorch loop that this training equals.
        verbose: print a line per epoch.

    Attributes:
        classes_: the labels, sorted.
        module_: the trained `nn.Sequential`; it takes encoded rows.
        encoding_: the fitted `Encoding`; its `transform` encodes rows.
        network_: its `NetworkSpec`.
        loss_curve_: training loss of each epoch; `loss_` is the last one.
        n_iter_: epochs trained.
        validation_loss_curve_, best_epoch_: with `early_stopping`; validation_scores_ with
            `scoring`.
        n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    Raises:
        InputError: (a `ValueError`) a parameter is not allowed, or the training diverged.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(MLPClassifier(random_state=541).fit(X, y).score(X, y) > 0.95)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None) -> Self:
        """Train.

        Args:
            X: rows of shape (rows, columns), in a frame of any columns too.
            y: labels of any type, shape (rows,).
            sample_weight: of each row, shape (rows,), at least 0.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        rows, labels = check_rows(self, X, y)
        classes, codes = np.unique(labels, return_inverse=True)
        goes_on = self.warm_start and hasattr(self, "classes_")
        if goes_on and not np.array_equal(classes, self.classes_):
            raise InputError(
                f"warm_start: the classes of y are {list(classes)}, but those fitted are "
                f"{list(self.classes_)}; they must be the same"
            )
        self._fit(
            rows,
            labels,
            codes.astype(np.int64),
            len(classes),
            weights_of(sample_weight, self.class_weight, X, labels),
            lambda outputs: PredictedClasses(classes, softmax(outputs)),
        )
        self.classes_ = classes
        return self

    @property
    def _encoding(self) -> Encoding:
        names = [str(label) for label in self.classes_]
        return msgspec.structs.replace(self.encoding_, class_names=names)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class (softmax), shape (rows, classes)."""
        return softmax(self._outputs(X))

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class, shape (rows, classes)."""
        return torch.from_numpy(self._outputs(X)).log_softmax(1).numpy()

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Return the most probable label of each row, shape (rows,)."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(1)]


class MLPRegressor(PredictsNumbers, MLP):
    """Predict numbers with one dense network, one output per column of y.

    The parameters are those of `MLPClassifier`; label_smoothing and class_weight are for classes
    alone. y is brought to mean 0 and variance 1, and predictions back.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MLPRegressor((20,), epochs=30, random_state=541).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None) -> Self:
        """Train.

        Args:
            X: rows of shape (rows, columns), in a frame of any columns too.
            y: numbers, (rows,) or (rows, outputs).
            sample_weight: of each row, shape (rows,), at least 0.

        Raises:
            ValueError: what is given cannot be trained on; the message says why.
        """
        refuse_for_numbers(self)
        rows, targets = check_rows(self, X, y, regression=True)
        columns = targets.reshape(len(targets), -1)
        self._flat = targets.ndim == 1
        self._fit(
            rows,
            targets,
            columns,
            columns.shape[1],
            weights_of(sample_weight, None, X, None),
            lambda outputs: PredictedNumbers(self._numbers_of(outputs)),
        )
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predicted numbers, of as many dimensions as y had."""
        return self._numbers_of(self._outputs(X))

    @property
    def _encoding(self) -> Encoding:
        if not self._flat:
            raise InputError(
                "to_model: a model predicts one number a row; fit a y of shape (rows,)"
            )
        return msgspec.structs.replace(self.encoding_, task="regression", targets=self._targets)

    def _numbers_of(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = self._targets.undo(outputs)
        return columns[:, 0] if self._flat else columns


def refuse_for_numbers(estimator: Any) -> None:
    """Refuse parameters that only act on classes.

    Raises:
        InputError: the message names one.
    """
    for name, default in (("label_smoothing", 0.0), ("class_weight", None)):
        if getattr(estimator, name, default) != default:
            raise InputError(
                f"{type(estimator).__name__}: {name} has no effect on numbers; leave it out"
            )


def softmax(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities, shape (rows, classes)."""
    return torch.from_numpy(outputs).softmax(1).numpy()
