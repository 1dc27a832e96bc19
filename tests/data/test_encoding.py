import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from downslope.data import Dataset, Encoding, Examples, SealedTestSet
from downslope.data.columns import column_of, typed


def dataset(frame: pd.DataFrame, targets=None) -> Dataset:
    columns = [column_of(frame[name], name, "t") for name in frame]
    targets = np.arange(len(frame)) % 2 if targets is None else targets
    examples = Examples(typed(frame, columns, "t"), targets)
    task = "classification" if targets.dtype == np.int64 else "regression"
    names = ("0", "1") if task == "classification" else ()
    return Dataset(
        "t", "", (len(columns),), names, examples, SealedTestSet(examples), None, "",
        task=task, columns=tuple(columns),
    )  # fmt: skip


def mixed(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": draw.lognormal(3, 2, rows),
            "count": draw.integers(0, 5, rows).astype(float),
            "kind": draw.choice(list("abcde"), rows, p=[0.5, 0.3, 0.18, 0.01, 0.01]),
            "truth": draw.choice(["yes", "no"], rows),
        }
    )
    for name in ("size", "kind"):
        frame.loc[draw.random(rows) < 0.1, name] = None
    return frame


@pytest.mark.parametrize("numbers", ["standard", "quantile"])
def test_the_encoding_is_that_of_scikit_learn(numbers):
    training, new = mixed(300, 0), mixed(80, 1)
    new.loc[3, "kind"] = "never seen"
    encoding = Encoding.fit(dataset(training), numbers=numbers)
    scaler = StandardScaler() if numbers == "standard" else QuantileTransformer(
        n_quantiles=10, output_distribution="normal"
    )  # fmt: skip

    def imputed(how: str, *steps):
        return make_pipeline(SimpleImputer(strategy=how, missing_values=np.nan), *steps)

    one_hot = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist")
    oracle = ColumnTransformer(
        [
            ("n", imputed("median", scaler), ["size", "count"]),
            ("i", make_pipeline(SimpleImputer(add_indicator=True)), ["size"]),
            ("t", OneHotEncoder(drop=["no"]), ["truth"]),
            ("k", imputed("most_frequent", one_hot), ["kind"]),
        ],
        sparse_threshold=0,
    )
    as_nan = lambda frame: frame.fillna(np.nan).astype({"kind": object})  # noqa: E731
    oracle.fit(as_nan(training))
    wanted = oracle.transform(as_nan(new))
    wanted = np.delete(wanted, 2, axis=1)  # the imputed size beside its indicator
    wanted = np.column_stack([wanted, new["kind"].isna()])
    np.testing.assert_allclose(encoding.transform(new), wanted, rtol=1e-6, atol=1e-7)
    assert len(encoding.features) == wanted.shape[1]


@pytest.mark.parametrize("numbers", ["standard", "quantile", "piecewise-linear", "unit"])
def test_an_encoding_is_plain_data(numbers):
    encoding = Encoding.fit(dataset(mixed(200, 0)), numbers=numbers)
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again == encoding
    new = mixed(50, 1)
    shuffled = new[["truth", "kind", "count", "size"]].assign(extra=1)
    np.testing.assert_array_equal(again.transform(shuffled), encoding.transform(new))
