"""Tables from file to results: numbers to predict, and no leak into what is fitted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from downslope import load_model
from downslope.data import load
from downslope.engines import train
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipe import Recipe
from downslope.recipes import load_recipe, run_recipe
from downslope.recipes.context import prepare
from downslope.report import summary, write_report
from downslope.report.headline import configuration
from downslope.report.statements import describe
from downslope.results import Results
from downslope.runs import Run

SMALL = {
    "search.trials": 3,
    "search.choice.top": 2,
    "search.choice.seeds": 2,
    "search.space.epochs": [3],
    "refit.epochs": 4,
    "variants.trials": 2,
    "variants.settings.epochs": 3,
    "landscape.grid": [5, 5],
}


def prices(rows: int = 300) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "area": draw.uniform(30, 200, rows).round(1),
            "kind": draw.choice(["flat", "house", "hut"], rows),
            "built": pd.date_range("1950-01-01", periods=rows, freq="37D").strftime("%Y-%m-%d"),
            "garden": draw.choice(["yes", "no"], rows),
        }
    )
    factor = np.where(frame["kind"] == "house", 1500, 1000)
    frame["price"] = (frame["area"] * factor + draw.normal(0, 5000, rows)).round(2)
    frame.loc[draw.random(rows) < 0.1, ["area", "kind"]] = None
    return frame


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Results]:
    folder = tmp_path_factory.mktemp("regression")
    prices().to_csv(folder / "prices.csv", index=False)
    recipe = load_recipe("quick", {"data.name": str(folder / "prices.csv"), **SMALL})
    run = Run(folder / "run")
    stages = ["search", "refit", "variants", "landscape"]
    results = drain(run_recipe(recipe, load(folder / "prices.csv"), run, stages=stages, threads=1))
    return run, results


def test_test_errors_are_those_of_scikit_learn_in_the_target_s_units(regression) -> None:
    run, results = regression
    kept = run.read_arrays("refit/predictions.npz", ("predictions", "truth"))
    predictions, truth = kept["predictions"], kept["truth"]
    opened = load(results.data.name).test.open("comparison").targets
    np.testing.assert_allclose(truth, opened, rtol=1e-6)
    score = results.refit.test_error
    assert results.data.task == "regression" and results.refit.test_accuracy is None
    wanted = [root_mean_squared_error(truth, one) for one in predictions]
    np.testing.assert_allclose(score.rmse, wanted)
    np.testing.assert_allclose(score.mean, np.mean(wanted))
    assert score.mae == pytest.approx(np.mean([mean_absolute_error(truth, p) for p in predictions]))
    assert score.r2 == pytest.approx(np.mean([r2_score(truth, p) for p in predictions]))
    assert score.interval[0] < score.mean < score.interval[1] < score.chance


def test_the_best_trial_has_the_lowest_validation_error(regression) -> None:
    _, results = regression
    losses = {trial.id: trial.validation_loss for trial in results.search.trials}
    assert results.search.best.id == min(losses, key=losses.get)
    means = {c.trial: c.mean for c in results.search.choice.candidates}
    assert results.search.choice.chosen == max(means, key=means.get)
    assert results.refit.member.training.loss == "mean_squared_error"


def test_the_page_says_errors_and_no_accuracies(regression) -> None:
    run, results = regression
    (path,) = write_report(run)
    page = path.read_text("utf-8")
    assert "accuracy" not in page.partition("<main")[2].partition('id="provenance"')[0].lower()
    assert "figures" in {p.name for p in run.path.iterdir()}
    for name in ("refit-predictions", "refit-residuals"):
        assert (run.path / "figures" / f"{name}.csv").stat().st_size > 100
    label, text = summary(results)[0]
    assert label == "test error" and "95 % interval" in text


def fitted(frame: pd.DataFrame, tmp_path: Path, numbers: str):
    recipe: Recipe = load_recipe("quick", {"data.encoding": numbers})
    return prepare(recipe, load(frame), Run(tmp_path / "run"), 1)


@pytest.mark.parametrize("numbers", ["standard", "quantile", "piecewise-linear"])
def test_nothing_that_is_fitted_moves_with_other_rows(tmp_path: Path, numbers: str) -> None:
    frame = prices()
    before = fitted(frame, tmp_path, numbers)
    seen = {tuple(row) for row in before.training.inputs.tolist()}
    everything = before.dataset.training.frame
    assert everything is not None
    coded = before.encoding.transform(everything)
    training = set(everything.index[[tuple(row) in seen for row in coded.tolist()]])
    others = [row for row in frame.index if row not in training]
    assert len(others) == len(frame) - len(before.training)
    frame.loc[others, ["area", "kind", "built", "price"]] = [1e9, "sentinel", "2999-12-31", -1e12]
    after = fitted(frame, tmp_path, numbers)
    assert after.encoding == before.encoding
    np.testing.assert_array_equal(after.training.inputs, before.training.inputs)
    assert np.isfinite(after.validation.inputs).all()


ENCODINGS = ["standard", "quantile", "piecewise-linear"]


@pytest.mark.parametrize("folds", [0, 2])
def test_a_search_over_encodings_trains_what_each_alone_would(tmp_path: Path, folds: int) -> None:
    frame = prices(150)
    small = {
        "data.name": "prices",
        "search.trials": 3,
        "search.sampler": "grid",
        "search.space": {"encoding": ENCODINGS},
        "search.settings": {"hidden_layers": 1, "units": 8, "epochs": 2},
        "search.choice": {"top": 3, "folds": folds} if folds else {"top": 3, "seeds": 1},
        "refit.seeds": 1,
    }
    recipe = load_recipe("quick", small)
    dataset, run = load(frame, label="price"), Run(tmp_path / "run")
    results = drain(run_recipe(recipe, dataset, run, stages=["landscape"], threads=1))
    search = results.search
    assert {trial.settings.encoding for trial in search.trials} == {*ENCODINGS}
    for trial in search.trials:
        numbers = trial.settings.encoding
        context = prepare(load_recipe("quick", small | {"data.encoding": numbers}), dataset, run, 1)
        *_, alone = train([trial.member], context.training, context.validation, threads=1)
        assert alone.validation_loss == trial.validation_loss
    chosen = search.chosen.settings.encoding
    assert results.refit.encoding == chosen
    assert run.read_results().refit.encoding == chosen
    model = load_model(run.path)
    assert model.encoding.numbers.method == chosen
    context = prepare(load_recipe("quick", small | {"data.encoding": chosen}), dataset, run, 1)
    np.testing.assert_array_equal(model.encode(frame), context.encoding.transform(frame))
    assert f'encoding = "{chosen}"' in configuration(results.refit)
    assert describe(results.refit).endswith(f", {chosen} encoding")
    assert describe(search.chosen) == describe(results.refit).replace(
        f"{results.refit.member.training.epochs} epochs", "2 epochs"
    )


def test_pictures_have_no_encoding_to_search(tmp_path: Path) -> None:
    recipe = load_recipe("quick", {"search.space": {"encoding": ENCODINGS}})
    with pytest.raises(InputError, match="encoding = 'quantile' has no effect on pictures"):
        drain(run_recipe(recipe, load("digits"), Run(tmp_path / "run"), stages=["search"]))
