"""The searching estimators: what they choose, on what, and that nothing leaks."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from downslope import load_model
from downslope.errors import InputError
from downslope.estimators import MLPSearchClassifier, MLPSearchRegressor
from downslope.estimators.preparation import hold_out
from downslope.estimators.task import Task
from downslope.search import Range

X, Y = load_iris(return_X_y=True)
QUICK: dict[str, Any] = {
    "space": {"units": [4, 8, 16], "learning_rate": Range(low=1e-3, high=0.05, log=True)},
    "settings": {"epochs": 15, "hidden_layers": 2, "batch_size": 16},
    "trials": 6,
    "halving": "none",
    "candidates": 2,
    "cv": 3,
    "random_state": 541,
    "n_jobs": 1,
}


@pytest.fixture(scope="module")
def searched() -> MLPSearchClassifier:
    return MLPSearchClassifier(**QUICK).fit(X, np.array(["a", "b", "c"])[Y])


def test_the_best_are_chosen_by_their_mean_over_folds(searched: MLPSearchClassifier) -> None:
    assert len(searched.trials_) == 6
    completed = sorted(
        searched.trials_, key=lambda t: (-(t.validation_accuracy or 0), t.validation_loss, t.id)
    )
    results = searched.cv_results_
    assert list(results["trial"]) == [t.id for t in completed[:2]]
    assert results["mean_test_score"][searched.best_index_] == searched.best_score_
    assert searched.best_score_ == max(results["mean_test_score"])
    assert results["rank_test_score"][searched.best_index_] == 1
    assert searched.best_params_ == results["params"][searched.best_index_]
    assert set(searched.best_params_) == {"units", "learning_rate"}
    # What scikit-learn says about the chosen network on the same folds.
    again = cross_val_score(searched.best_estimator_, X, np.array(["a", "b", "c"])[Y], cv=3)
    assert again.mean() == pytest.approx(searched.best_score_)


def test_it_predicts_as_the_chosen_network(searched: MLPSearchClassifier) -> None:
    best = searched.best_estimator_
    assert best.hidden_layer_sizes == (searched.best_params_["units"],) * 2
    np.testing.assert_array_equal(searched.predict(X), best.predict(X))
    np.testing.assert_array_equal(searched.predict_proba(X), best.predict_proba(X))
    np.testing.assert_array_equal(searched.predict_log_proba(X), best.predict_log_proba(X))
    assert list(searched.classes_) == ["a", "b", "c"]


def test_the_number_of_jobs_changes_no_bit(searched: MLPSearchClassifier) -> None:
    other = clone(searched).set_params(n_jobs=2).fit(X, np.array(["a", "b", "c"])[Y])
    np.testing.assert_array_equal(other.predict_proba(X), searched.predict_proba(X))
    np.testing.assert_array_equal(
        other.cv_results_["mean_test_score"], searched.cv_results_["mean_test_score"]
    )
    copy = pickle.loads(pickle.dumps(searched))
    np.testing.assert_array_equal(copy.predict_proba(X), searched.predict_proba(X))


def test_a_regressor_of_one_and_of_two_columns() -> None:
    rows, target = load_diabetes(return_X_y=True)
    one = MLPSearchRegressor(**QUICK).fit(rows, target)
    assert one.predict(rows).shape == (442,)
    assert one.score(rows, target) > 0.3
    two = MLPSearchRegressor(**QUICK).fit(rows, np.column_stack([target, -target]))
    assert two.predict(rows).shape == (442, 2)


def test_it_works_on_frames_in_a_pipeline() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    search = MLPSearchClassifier(**QUICK).fit(frame, Y)
    assert list(search.feature_names_in_) == ["a", "b", "c", "d"]
    assert search.score(frame, Y) > 0.8
    pipeline = make_pipeline(PolynomialFeatures(2), MLPSearchClassifier(**QUICK))
    assert pipeline.fit(frame, Y).score(frame, Y) > 0.8


def test_splitters_and_scorings_of_scikit_learn_are_taken() -> None:
    search = MLPSearchClassifier(
        **QUICK | {"cv": KFold(4, shuffle=True, random_state=0), "scoring": "neg_log_loss"}
    ).fit(X, Y)
    assert search.n_splits_ == 4
    assert search.best_score_ < 0


def test_a_rare_class_makes_fewer_folds() -> None:
    labels = np.where(np.arange(150) < 2, 1, 0)
    assert MLPSearchClassifier(**QUICK | {"cv": 5}).fit(X, labels).n_splits_ == 2


def test_the_default_space_is_a_space() -> None:
    search = MLPSearchClassifier(trials=2, candidates=1, cv=2, random_state=0).fit(X, Y)
    assert set(search.best_params_) >= {"hidden_layers", "units", "learning_rate", "dropout"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"space": {"lerning_rate": [0.1]}}, "did you mean 'learning_rate'"),
        ({"space": {"units": 8}}, "space: units = 8; it must be a list of choices or a"),
        ({"space": {"units": []}}, "units is an empty list"),
        ({"space": {"units": [0]}}, "units"),
        ({"settings": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"trials": 0}, "trials = 0; it must be a whole number, 1 or more"),
        ({"candidates": 0}, "candidates = 0"),
        ({"trials": 2.5}, "trials = 2.5; it must be a whole number"),
        ({"space": [1, 2]}, r"space = \[1, 2\]; it must be a dict"),
        ({"space": {"loss": ["mean_squared_error"]}}, "loss is that of the task"),
        ({"cv": 1}, "cv = 1; it must be a whole number, 2 or more"),
        ({"cv": True}, "cv = True; it must be a whole number, 2 or more"),
        ({"random_state": -1}, "random_state = -1; it must be 0 or more"),
        ({"halving": "half"}, "halving: method = 'half' is not allowed; it must be one of none"),
        ({"sampler": "lucky"}, "sampler = 'lucky'; it must be one of 'random'"),
        ({"validation_fraction": 0.0}, "validation_fraction = 0.0"),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        MLPSearchClassifier(**QUICK | parameters).fit(X, Y)
    assert "\n" not in str(caught.value)


def test_trials_that_diverge_are_kept_and_not_chosen() -> None:
    settings = {"optimizer": "sgd", "epochs": 5, "hidden_layers": 1}
    space = {"learning_rate": [0.05, 1e20]}
    search = MLPSearchRegressor(**QUICK | {"space": space, "settings": settings, "trials": 8}).fit(
        X, X[:, 0]
    )
    assert {t.outcome for t in search.trials_} == {"completed", "diverged"}
    assert search.best_params_ == {"learning_rate": 0.05}
    with pytest.raises(InputError, match=r"none of the 6 trials completed .*lower learning rates"):
        MLPSearchRegressor(
            **QUICK | {"space": {"learning_rate": [1e20]}, "settings": settings}
        ).fit(X, X[:, 0])


def test_what_is_fixed_leaves_the_default_space() -> None:
    search = MLPSearchClassifier(
        settings={"units": 16, "epochs": 2}, trials=3, candidates=1, cv=2, random_state=0
    ).fit(X, Y)
    assert "units" not in search.best_params_
    assert {t.settings.units for t in search.trials_} == {16}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"settings": {"units": 3}}, "settings: units = 3 has no effect, because space varies it"),
        ({"settings": {"weight_scale": 2.0}}, "weight_scale has no effect on the estimators"),
        ({"cv": GroupKFold(3)}, "give them to fit, as groups"),
        ({"cv": 400}, "cv = 400: Cannot have number of splits"),
        ({"cv": LeaveOneOut()}, "leaves 1 of 150 rows in a fold, on which R2 is not defined"),
    ],
)
def test_what_would_fail_after_the_search_is_refused_before_it(
    parameters: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*_: Any, **__: Any) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr("downslope.estimators.searching.search", search)
    with pytest.raises(InputError, match=message):
        MLPSearchRegressor(**QUICK | parameters).fit(X, X[:, 0])


def test_verbose_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    MLPSearchClassifier(**QUICK | {"verbose": True}).fit(X, Y)
    shown = capsys.readouterr().err
    assert re.search(r"^search: done in \d+ s; 6/6 trials, best 0\.", shown, re.M)
    assert re.search(r"^choice: done in \d+ s; 2 best trials on folds$", shown, re.M)


def test_those_pruned_last_make_up_for_what_halving_leaves() -> None:
    search = MLPSearchClassifier(**QUICK | {"halving": "halving", "trials": 12, "candidates": 4})
    search.fit(X, Y)
    trials = {t.id: t for t in search.trials_}
    chosen = [trials[i] for i in search.cv_results_["trial"]]
    assert [t.outcome for t in chosen] == ["completed", *["pruned"] * 3]
    places = [(-(t.rung or 99), t.rank or 0) for t in chosen]
    assert places == sorted(places)
    assert len({str(t.settings) for t in chosen}) == 4
    again = clone(search).set_params(n_jobs=2)
    np.testing.assert_array_equal(again.fit(X, Y).predict_proba(X), search.predict_proba(X))


def test_another_sampler_proposes_other_trials() -> None:
    tpe = MLPSearchClassifier(**QUICK | {"sampler": "quasi_random"}).fit(X, Y)
    random = MLPSearchClassifier(**QUICK).fit(X, Y)
    assert [t.settings for t in tpe.trials_] != [t.settings for t in random.trials_]


@pytest.mark.parametrize(("trials", "candidates"), [(6, 5), (20, 5), (4, 4)])
def test_as_many_are_trained_on_folds_as_asked_for(trials: int, candidates: int) -> None:
    search = MLPSearchClassifier(trials=trials, cv=2, settings={"epochs": 3}, random_state=541)
    assert len(search.fit(X[::3], Y[::3]).cv_results_["params"]) == candidates


def test_an_ensemble_is_the_weighted_mean_of_its_folds() -> None:
    search = MLPSearchClassifier(**QUICK | {"ensemble": True, "candidates": 4}).fit(X, Y)
    assert search.ensemble_ is not None
    parts = search.ensemble_.parts
    assert sum(weight for weight, _ in parts) == pytest.approx(1)
    expected = np.sum(
        [w * np.mean([e.predict_proba(X) for e in folds], axis=0) for w, folds in parts], axis=0
    )
    np.testing.assert_allclose(search.predict_proba(X), expected, atol=1e-12)
    np.testing.assert_array_equal(search.predict(X), search.classes_[expected.argmax(1)])
    np.testing.assert_allclose(np.exp(search.predict_log_proba(X)), expected)
    numbers = MLPSearchRegressor(**QUICK | {"ensemble": True}).fit(X, X[:, 2])
    assert numbers.score(X, X[:, 2]) > 0.9


def test_groups_are_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.arange(150) // 5
    seen: list[tuple[set[int], set[int]]] = []
    fitted = Task.fitted

    def record(task: Task, estimator: Any, at: Any) -> Any:
        seen.append((set(groups[at]), set(groups) - set(groups[at])))
        return fitted(task, estimator, at)

    monkeypatch.setattr(Task, "fitted", record)
    search = MLPSearchClassifier(**QUICK).fit(X, Y, groups=groups)
    assert len(seen) == search.n_splits_ * 2
    for trained_on, held_out in seen:
        assert len(trained_on) + len(held_out) == 30
        assert {g for g in groups if g in held_out}.isdisjoint(trained_on)
    kept, rest = hold_out(150, 0.2, 541, Y, groups)
    assert not set(groups[kept]) & set(groups[rest])


def test_encodings_of_numbers_are_searched_like_a_setting() -> None:
    search = MLPSearchClassifier(
        **QUICK | {"numbers": ["standard", "piecewise-linear"], "candidates": 6}
    ).fit(X, Y)
    of_trials = [trial.settings.encoding for trial in search.trials_]
    assert {*of_trials} == {"standard", "piecewise-linear"}
    for at, params in zip(search.cv_results_["trial"], search.cv_results_["params"], strict=True):
        assert params["numbers"] == of_trials[at]
    assert search.best_estimator_.numbers == search.best_params_["numbers"]
    assert sorted(t.id for t in search.trials_) == list(range(6))
    with pytest.raises(InputError, match="'none' leaves y alone too"):
        MLPSearchRegressor(numbers=["standard", "none"]).fit(X, X[:, 0])
    with pytest.raises(InputError, match=r"numbers = \[\]; it must be an encoding"):
        MLPSearchClassifier(**QUICK | {"numbers": []}).fit(X, Y)


def test_weights_reach_the_search_and_the_folds() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    search = MLPSearchClassifier(**QUICK).fit(X, Y, weights)
    assert set(search.predict(X)) == {0, 1}
    assert list(search.classes_) == [0, 1, 2]


def test_a_search_becomes_a_model_whose_intervals_cover(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"a": rng.normal(size=4300), "b": rng.choice(["x", "y"], 4300)})
    prices = 100 * rows["a"] + np.where(rows["b"] == "x", 50, 0) + rng.laplace(0, 20, 4300)
    search = MLPSearchRegressor(**QUICK).fit(rows[:300], prices[:300])
    assert len(search.residuals_) == 300
    search.to_model(target="price").save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    found = model.combine(model.encode(rows[300:]))
    np.testing.assert_allclose(found.values, search.predict(rows[300:]), rtol=1e-9)
    assert found.interval is not None
    low, high = found.interval.T
    covered = np.mean((low <= prices[300:]) & (prices[300:] <= high))
    # Of 300 calibration rows, the coverage itself deviates by sqrt(0.95 * 0.05 / 300) = 0.013.
    assert covered == pytest.approx(0.95, abs=3 * 0.0135)
    labels = MLPSearchClassifier(**QUICK).fit(X, np.array(["a", "b", "c"])[Y])
    np.testing.assert_array_equal(labels.to_model().predict(X), labels.predict(X))
    with pytest.raises(InputError, match="an ensemble is no single network"):
        clone(search).set_params(ensemble=True).fit(rows[:99], prices[:99]).to_model()
    both = np.column_stack([prices, prices])[:99]
    with pytest.raises(InputError, match="one number a row"):
        clone(search).fit(rows[:99], both).to_model()
