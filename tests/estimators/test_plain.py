"""The plain estimators beside PyTorch's loop and scikit-learn's own networks."""

import pickle
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from torch import nn

from downslope.errors import InputError
from downslope.estimators import MLPClassifier, MLPRegressor, MLPSearchClassifier
from downslope.estimators.preparation import hold_out

X, Y = load_iris(return_X_y=True)
QUICK: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "learning_rate": 0.02,
    "epochs": 5,
    "random_state": 541,
}


def test_a_fit_is_the_plain_loop_of_pytorch() -> None:
    model = MLPClassifier((8, 6), optimizer="sgd", learning_rate=0.1, epochs=3, random_state=541)
    model.fit(X, Y)

    rows = torch.from_numpy(StandardScaler().fit_transform(X).astype(np.float32))
    data = torch.utils.data.TensorDataset(rows, torch.from_numpy(Y))
    with torch.random.fork_rng():
        torch.manual_seed(541)
        module = nn.Sequential(
            nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)
        )
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(3):
            for inputs, targets in torch.utils.data.DataLoader(data, 32, shuffle=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(inputs), targets).backward()
                optimizer.step()
        expected = module(rows).softmax(1).detach().numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-6)


def test_it_does_as_well_as_scikit_learn_and_learns_a_plane() -> None:
    ours = MLPClassifier((16,), learning_rate=0.01, random_state=0)
    theirs = make_pipeline(StandardScaler(), TheirClassifier((16,), max_iter=2000, random_state=0))
    assert cross_val_score(ours, X, Y).mean() >= cross_val_score(theirs, X, Y).mean() - 0.02

    rows, targets = make_regression(200, 5, noise=5, random_state=0)
    ours = MLPRegressor((16,), learning_rate=0.02, random_state=0)
    assert cross_val_score(ours, rows, targets).mean() > 0.95


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["setosa", "versicolor", "virginica"]),
        np.array(["setosa", "versicolor", "virginica"], dtype=object),
        np.array([-1, 7, 2**40]),
        np.array([0.0, 1.0, 2.0]),
        np.array([3, 4, 250], np.uint8),
    ],
    ids=lambda a: str(a.dtype),
)
def test_labels_of_any_type(labels: NDArray[Any]) -> None:
    model = MLPClassifier(epochs=30, learning_rate=0.01, random_state=0).fit(X, labels[Y])
    assert model.classes_.dtype == labels.dtype
    assert sorted(model.classes_) == sorted(labels)
    predicted = model.predict(X)
    assert predicted.dtype == labels.dtype
    assert np.mean(predicted == labels[Y]) > 0.9
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], predicted)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)


def test_true_and_false_are_labels() -> None:
    model = MLPClassifier(**QUICK).fit(X, Y == 0)
    assert model.predict(X).dtype == bool
    assert model.score(X, Y == 0) > 0.9


def test_one_class_alone_is_predicted() -> None:
    model = MLPClassifier(**QUICK).fit(X, np.full(150, "only"))
    assert set(model.predict(X)) == {"only"}
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((150, 1)))


def test_pandas_in_names_remembered() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    labels = pd.Series(Y).map({0: "x", 1: "y", 2: "z"}).astype("category")
    model = MLPClassifier(**QUICK).fit(frame, labels)
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert set(model.predict(frame)) <= {"x", "y", "z"}
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "e"}))


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_rows_are_those_same_rows(make: Callable[[Any], Any]) -> None:
    rows = np.where(X > 1, X, 0)
    dense = MLPClassifier(**QUICK).fit(rows, Y)
    sparse = MLPClassifier(**QUICK).fit(make(rows), Y)
    np.testing.assert_array_equal(sparse.predict_proba(make(rows)), dense.predict_proba(rows))


@pytest.mark.parametrize("shape", [(150,), (150, 1), (150, 2)])
def test_predictions_have_the_shape_of_y(shape: tuple[int, ...]) -> None:
    targets = np.column_stack([X[:, 0], X[:, 1]])[:, : (*shape, 1)[1]].reshape(shape)
    model = MLPRegressor((16,), epochs=40, random_state=0).fit(X, targets)
    assert model.predict(X).shape == shape
    assert model.score(X, targets) > 0.8


def test_the_scale_of_y_does_not_matter() -> None:
    model = MLPRegressor(**QUICK).fit(X, X[:, 2])
    scaled = MLPRegressor(**QUICK).fit(X, 1000 * X[:, 2] + 1e6)
    np.testing.assert_allclose(scaled.predict(X), 1000 * model.predict(X) + 1e6, rtol=1e-6)


def test_numbers_none_leaves_rows_as_they_are() -> None:
    rows = StandardScaler().fit_transform(X)
    inside = MLPClassifier(**QUICK).fit(X, Y)
    outside = MLPClassifier(**QUICK, numbers="none").fit(rows, Y)
    np.testing.assert_array_equal(outside.predict_proba(rows), inside.predict_proba(X))


def test_pickle_joblib_and_clone(tmp_path: Any) -> None:
    model = MLPClassifier(**QUICK, normalization="batch").fit(X, Y)
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    joblib.dump(model, tmp_path / "model")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model").predict_proba(X), expected)
    copy = clone(model)
    assert not hasattr(copy, "module_")
    np.testing.assert_array_equal(copy.fit(X, Y).predict_proba(X), expected)


def test_the_same_seed_gives_the_same_bits_whatever_torch_s_threads() -> None:
    expected = MLPClassifier(**QUICK, dropout=0.2).fit(X, Y).predict_proba(X)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(before, 2))
        again = MLPClassifier(**QUICK, dropout=0.2).fit(X, Y).predict_proba(X)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(again, expected)
    other = MLPClassifier(**QUICK | {"random_state": 542}, dropout=0.2).fit(X, Y)
    assert not np.array_equal(other.predict_proba(X), expected)


def test_random_state_may_be_a_generator_or_none() -> None:
    settings = QUICK | {"random_state": np.random.RandomState(0)}
    one = MLPClassifier(**settings).fit(X, Y).predict_proba(X)
    two = MLPClassifier(**settings).fit(X, Y).predict_proba(X)
    assert not np.array_equal(one, two)
    assert MLPClassifier(**QUICK | {"random_state": None}).fit(X, Y).n_iter_ == 5


def test_a_pipeline_in_a_grid_search_of_threads() -> None:
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), MLPClassifier(epochs=10, random_state=0)),
        {"mlpclassifier__learning_rate": np.logspace(-3, -1, 3)},
        cv=3,
    )
    alone = search.fit(X, Y).cv_results_["mean_test_score"]
    before = torch.get_num_threads()
    with joblib.parallel_backend("threading", n_jobs=2):
        beside = clone(search).fit(X, Y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(beside, alone)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_early_stopping_keeps_the_best_epoch(normalization: str) -> None:
    labels = np.where(np.arange(150) % 5 == 0, (Y + 1) % 3, Y)  # wrong ones: soon learned by heart
    settings: dict[str, Any] = QUICK | {
        "hidden_layer_sizes": (64, 64),
        "learning_rate": 0.01,
        "normalization": normalization,
        "early_stopping": True,
        "validation_fraction": 0.4,
        "n_iter_no_change": 7,
        "tol": 0.0,
    }
    stopped = MLPClassifier(**settings | {"epochs": 500}).fit(X, labels)
    losses = stopped.validation_loss_curve_
    assert stopped.best_epoch_ == 1 + int(np.argmin(losses))
    assert stopped.n_iter_ == stopped.best_epoch_ + 7 == len(losses) == len(stopped.loss_curve_)
    # Nothing depends on the epochs after the best one: a training that ends there is the same.
    short = MLPClassifier(**settings | {"epochs": stopped.best_epoch_}).fit(X, labels)
    np.testing.assert_array_equal(short.predict_proba(X), stopped.predict_proba(X))


def test_warm_start_goes_on_from_the_weights() -> None:
    settings: dict[str, Any] = QUICK | {"optimizer": "sgd", "warm_start": True}
    model = MLPClassifier(**settings, normalization="batch").fit(X, Y)
    first = model.loss_curve_
    weights = model.module_[0].weight.detach().clone()
    model.set_params(learning_rate=1e-12).fit(X, Y)
    torch.testing.assert_close(model.module_[0].weight.detach(), weights)
    model.set_params(learning_rate=0.1).fit(X, Y)
    assert model.loss_curve_[-1] < first[-1]
    cold = MLPClassifier(**settings | {"warm_start": False}, normalization="batch").fit(X, Y)
    assert cold.fit(X, Y).loss_curve_ == first


def test_warm_start_refuses_other_classes_and_networks() -> None:
    model = MLPClassifier(**QUICK, warm_start=True).fit(X, Y)
    with pytest.raises(InputError, match="warm_start: the classes"):
        model.fit(X, Y + 1)
    with pytest.raises(InputError, match="4-8-3 is not the one asked for, 4-9-3"):
        model.set_params(hidden_layer_sizes=9).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate = -1.0 is not allowed"),
        ({"hidden_layer_sizes": (8, 0)}, "widths"),
        ({"hidden_layer_sizes": (8.5,)}, "widths"),
        ({"activation": "swish"}, "activation"),
        ({"epochs": "many"}, "epochs"),
        ({"momentum": 0.9}, "momentum"),
        ({"early_stopping": True, "validation_fraction": 1.0}, "validation_fraction = 1.0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change = 0"),
        ({"random_state": -1}, "random_state = -1; it must be 0"),
        ({"numbers": "log"}, "numbers = 'log'; it must be one of 'standard', 'quantile'"),
        ({"scoring": "accuracy"}, "scoring has no effect without early_stopping"),
        ({"scoring": "f2", "early_stopping": True}, "scoring = 'f2': "),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        MLPClassifier(**QUICK | parameters).fit(X, Y)
    assert "\n" not in str(caught.value)


def test_divergence_is_an_error_not_a_model() -> None:
    model = MLPRegressor((8,), optimizer="sgd", learning_rate=1e20, random_state=0)
    with pytest.raises(InputError, match=r"training diverged: .* lower learning_rate"):
        model.fit(X, X[:, 0])
    assert not hasattr(model, "module_")


def test_what_float32_cannot_hold_is_named() -> None:
    rows = X.copy()
    rows[3, 2] = 1e300
    with pytest.raises(InputError, match=r"column 'column 3' .*too large"):
        MLPClassifier(**QUICK).fit(rows, Y)
    model = MLPClassifier(**QUICK).fit(X, Y)
    with pytest.raises(InputError, match=r"X: row 3, column 2 .*does not fit float32"):
        model.predict(rows)


def test_predicting_before_fitting_and_other_columns_are_refused() -> None:
    with pytest.raises(NotFittedError):
        MLPRegressor().predict(X)
    with pytest.raises(ValueError, match="3 features"):
        MLPClassifier(**QUICK).fit(X, Y).predict(X[:, :3])


def test_verbose_prints_an_epoch_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    MLPClassifier(**QUICK | {"verbose": True, "early_stopping": True}).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("MLPClassifier: epoch 1 of 5, training loss 0.")
    assert "validation loss" in lines[0]


MIXED = pd.DataFrame(
    {
        "length": np.where(np.arange(150) % 7 == 0, np.nan, X[:, 2]),
        "kind": np.where(np.arange(150) % 5 == 0, None, np.array(["x", "y", "z"])[Y]),
        "day": pd.date_range("2026-01-01", periods=150),
        "fresh": np.arange(150) % 3 == 0,
        "id": np.arange(150),
    }
)


def test_a_frame_of_any_columns_is_learned_as_scikit_learn_and_pytorch_would() -> None:
    model = MLPClassifier((8,), optimizer="sgd", learning_rate=0.1, epochs=3, random_state=541)
    model.fit(MIXED[["length", "kind", "fresh"]], Y)

    kinds = MIXED["kind"].fillna(MIXED["kind"].mode()[0])
    length = MIXED["length"].fillna(MIXED["length"].median())
    parts = [StandardScaler().fit_transform(length.to_frame()), MIXED[["length"]].isna()]
    parts += [MIXED[["fresh"]], OneHotEncoder(sparse_output=False).fit_transform(kinds.to_frame())]
    parts += [MIXED[["kind"]].isna()]
    rows = torch.from_numpy(np.hstack(parts).astype(np.float32))
    np.testing.assert_allclose(
        model.encoding_.transform(MIXED[["length", "kind", "fresh"]]), rows.numpy(), atol=1e-6
    )
    data = torch.utils.data.TensorDataset(rows, torch.from_numpy(Y))
    with torch.random.fork_rng():
        torch.manual_seed(541)
        module = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(3):
            for inputs, targets in torch.utils.data.DataLoader(data, 32, shuffle=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(module(inputs), targets).backward()
                optimizer.step()
        expected = module(rows).softmax(1).detach().numpy()
    found = model.predict_proba(MIXED[["length", "kind", "fresh"]])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_text_missing_values_and_dates_are_taken_as_they_are() -> None:
    with pytest.warns(UserWarning, match="left out .an identifier by its name.*: 'id'"):
        model = MLPClassifier(epochs=60, random_state=0).fit(MIXED, Y)
    assert model.score(MIXED, Y) > 0.9
    assert model.encoding_.left_out == {"id": "an identifier by its name, different in each row"}
    unseen = MIXED.assign(kind="never seen", length=np.nan)
    assert model.predict(unseen).shape == (150,)
    cells = MIXED[["length", "kind"]].to_numpy(object)
    by_cells = MLPClassifier(epochs=60, random_state=0).fit(cells, Y)
    by_frame = MLPClassifier(epochs=60, random_state=0).fit(MIXED[["length", "kind"]], Y)
    np.testing.assert_array_equal(
        by_cells.predict_proba(cells), by_frame.predict_proba(MIXED[["length", "kind"]])
    )
    holes = np.where(np.arange(600).reshape(150, 4) % 9 == 0, np.nan, X)
    assert MLPClassifier(epochs=60, random_state=0).fit(holes, Y).score(holes, Y) > 0.9


def test_whole_weights_are_repeated_rows() -> None:
    weights = np.random.default_rng(0).integers(0, 4, 150)
    weighted = MLPClassifier(**QUICK, numbers="none").fit(X, Y, weights)
    repeated = MLPClassifier(**QUICK, numbers="none").fit(X.repeat(weights, 0), Y.repeat(weights))
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))


def test_weights_and_class_weights_move_predictions() -> None:
    rare = np.r_[0:50, 50:55]
    labels = (np.arange(150) % 2)[rare]  # nothing to learn but the shares
    labels[:] = 0
    labels[:8] = 1
    rows = np.zeros((55, 2)) + np.random.default_rng(0).normal(size=(55, 2)) * 1e-3
    settings: dict[str, Any] = {"hidden_layer_sizes": (), "epochs": 200, "random_state": 0}
    plain = MLPClassifier(**settings, numbers="none").fit(rows, labels)
    assert plain.predict_proba(rows)[:, 1].mean() == pytest.approx(8 / 55, abs=0.03)
    balanced = MLPClassifier(**settings, numbers="none", class_weight="balanced")
    assert balanced.fit(rows, labels).predict_proba(rows)[:, 1].mean() == pytest.approx(
        0.5, abs=0.05
    )
    weights = np.where(labels == 1, 2.5, 1.0)
    weighted = MLPClassifier(**settings, numbers="none").fit(rows, labels, weights)
    share = 8 * 2.5 / (8 * 2.5 + 47)
    assert weighted.predict_proba(rows)[:, 1].mean() == pytest.approx(share, abs=0.05)
    with pytest.raises(InputError, match="class_weight has no effect on numbers"):
        MLPRegressor(class_weight="balanced").fit(rows, labels)
    with pytest.raises(ValueError, match="at least one non-zero"):
        MLPClassifier(**settings).fit(rows, labels, np.zeros(55))


def test_a_scorer_may_decide_when_to_stop() -> None:
    settings: dict[str, Any] = QUICK | {"early_stopping": True, "epochs": 60}
    model = MLPClassifier(**settings, scoring="balanced_accuracy").fit(X, Y)
    scores = model.validation_scores_
    assert model.best_epoch_ == 1 + int(np.argmax(scores))
    _, held_out = hold_out(150, 0.1, 541, Y)
    assert balanced_accuracy_score(Y[held_out], model.predict(X[held_out])) == max(scores)
    numbers = MLPRegressor(**settings, scoring="r2").fit(X, 100 * X[:, 2])
    assert numbers.best_epoch_ == 1 + int(np.argmax(numbers.validation_scores_))


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(**QUICK, early_stopping=True, scoring=lambda *_: np.nan),
        MLPSearchClassifier(trials=2, cv=2, settings={"epochs": 2}, scoring=lambda *_: np.nan),
    ],
)
def test_a_score_that_is_not_defined_chooses_nothing(model: Any) -> None:
    with pytest.raises(InputError, match=r"is not defined on the .* rows held out"):
        model.fit(X, Y)


def test_several_labels_a_row_are_refused_and_wrapped() -> None:
    both = np.column_stack([Y == 0, Y == 1])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        MLPClassifier(**QUICK).fit(X, both)
    wrapped = MultiOutputClassifier(MLPClassifier(**QUICK)).fit(X, both)
    assert wrapped.predict(X).shape == (150, 2)


def test_a_model_finds_columns_again_whatever_their_names_are() -> None:
    draw = np.random.default_rng(0)
    numbers = pd.DataFrame(draw.normal(size=(60, 2)), columns=[" a", ""])
    mixed = numbers.assign(kind=["u", "v"] * 30)
    y = np.where(numbers[" a"] > 0, "n", "p")
    for X in (numbers, mixed, mixed.set_axis(range(3), axis=1)):
        fitted = MLPClassifier((4,), epochs=5, random_state=0).fit(X, y)
        assert list(fitted.to_model().predict(X)) == list(fitted.predict(X))


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([[1]] * 20, "X: column 'b' holds values of type list"),
        (np.arange(20) * 1j, "X: column 'b' holds complex numbers"),
    ],
)
def test_cells_that_are_no_single_values_are_refused(cells: Any, says: str) -> None:
    X = pd.DataFrame({"a": ["u", "v"] * 10, "b": cells})
    with pytest.raises(InputError, match=says):
        MLPClassifier((4,), epochs=1).fit(X, [0, 1] * 10)


@pytest.mark.parametrize("make", [MLPClassifier, partial(MLPSearchClassifier, trials=3, cv=2)])
def test_columns_that_are_left_out_are_said_once(make: Callable[..., Any]) -> None:
    rows = 40
    frame = pd.DataFrame(
        {
            "size": np.arange(rows) / 2,
            "ticket": [f"T{i}" for i in range(rows)],
            "remark": [f"what number {i} has said" for i in range(rows)],
        }
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        make(random_state=0).fit(frame, np.arange(rows) % 2)
    texts = [str(one.message).partition(": ")[2] for one in said]
    assert texts == [
        "left out (an identifier: 40 different words in 40 rows): 'ticket'",
        "left out (free text): 'remark'",
    ]
    assert {one.filename for one in said} == {__file__}
