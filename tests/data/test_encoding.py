import json

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
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
    again = msgspec.convert(json.loads(json.dumps(encoding.to_dict())), Encoding)
    assert again == encoding
    new = mixed(50, 1)
    shuffled = new[["truth", "kind", "count", "size"]].assign(extra=1)
    np.testing.assert_array_equal(again.transform(shuffled), encoding.transform(new))


CELLS = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))), min_size=12, max_size=60
)


@given(CELLS, st.lists(st.floats(-1e9, 1e9), max_size=5), st.booleans())
def test_numbers_are_those_of_scikit_learn_whatever_they_are(cells, new, quantile):
    training = pd.DataFrame({"a": np.array(cells, float)})
    assume(training["a"].max() - training["a"].min() > 1e-3)
    method = "quantile" if quantile else "standard"
    encoding = Encoding.fit(dataset(training), numbers=method)
    scaler = StandardScaler()
    if quantile:
        scaler = QuantileTransformer(n_quantiles=10, output_distribution="normal")
    oracle = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), scaler)
    rows = pd.DataFrame({"a": [*cells, *new, np.nan]}, dtype=float)
    wanted = oracle.fit(training).transform(rows)[:, 0]
    found = encoding.transform(rows)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-5, atol=1e-6)
    if training["a"].isna().any():
        np.testing.assert_array_equal(found[:, 1], rows["a"].isna())


@given(CELLS, st.data())
def test_bins_fill_one_after_the_other(cells, data):
    training = pd.DataFrame({"a": np.array(cells, float)})
    assume(training["a"].max() - training["a"].min() > 1e-3)
    encoding = Encoding.fit(dataset(training), numbers="piecewise-linear")
    (edges,) = encoding.numbers.edges
    value = data.draw(st.floats(edges[0], edges[-1]))
    shares = encoding.transform(pd.DataFrame({"a": [value]}))[0, : len(edges) - 1]
    # The bins' widths, each as far as it is filled, add up to the value (the paper's equation 1).
    wanted = edges[0] + float(np.dot(shares.astype(float), np.diff(edges)))
    assert wanted == pytest.approx(value, rel=1e-5, abs=1e-5 * (edges[-1] - edges[0]))
    assert (np.diff(shares) <= 1e-6).all() and shares.min() >= 0 and shares.max() <= 1


@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=8, max_size=80))
def test_categories_are_those_of_scikit_learn_whatever_they_are(cells):
    training = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
    assume(training["a"].nunique() > 1)
    encoding = Encoding.fit(dataset(training))
    frequent = SimpleImputer(strategy="most_frequent", missing_values=None)
    one_hot = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist")
    oracle = make_pipeline(frequent, one_hot).fit(training)
    rows = pd.DataFrame({"a": pd.Series(["a", "b", "c", "d", "never", None], dtype=object)})
    wanted = oracle.transform(rows).toarray()
    np.testing.assert_array_equal(encoding.transform(rows)[:, : wanted.shape[1]], wanted)
