"""A small mixed table, and models of it with weights as they were drawn."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch

from downslope import Model
from downslope.data import Column, Dataset, Encoding, Examples, Scaling, SealedTestSet
from downslope.data.columns import typed
from downslope.networks import NetworkSpec, build

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "length": np.where(np.arange(60) % 7 == 0, np.nan, RNG.normal(10, 3, 60)),
        "kind": np.where(np.arange(60) % 5 == 0, None, RNG.choice(["x", "y", "z"], 60)),
        "fresh": np.arange(60) % 3 == 0,
    }
)
COLUMNS = (
    Column(name="length", kind="number"),
    Column(name="kind", kind="category"),
    Column(name="fresh", kind="boolean"),
)


def state_of(network: NetworkSpec, seed: int) -> dict[str, Any]:
    module = build(network, torch.Generator().manual_seed(seed))
    return {name: value.numpy() for name, value in module.state_dict().items()}


def table_model(targets: Any = None, numbers: Any = "standard") -> Model:
    """Make a model of two seeds on `TABLE`; with targets, of numbers."""
    examples = Examples(typed(TABLE, COLUMNS, "table"), np.arange(60) % 2)
    dataset = Dataset(
        name="table",
        source="",
        shape=(3,),
        class_names=("no", "yes"),
        training=examples,
        test=SealedTestSet(examples),
        max_pixel=None,
        sha256="",
        columns=COLUMNS,
    )
    encoding = Encoding.fit(dataset, numbers=numbers)
    if targets is not None:
        scaling = Scaling(shift=[float(targets.mean())], spread=[float(targets.std())])
        encoding = msgspec.structs.replace(
            encoding, task="regression", class_names=[], targets=scaling
        )
    outputs = 2 if targets is None else 1
    network = NetworkSpec(widths=(len(encoding.features), 6, outputs), activation="gelu")
    states = {seed: state_of(network, seed) for seed in (1, 2)}
    residuals = None if targets is None else np.arange(1.0, 40)
    return Model(network, encoding, states, residuals)


@pytest.fixture
def table() -> pd.DataFrame:
    return TABLE.copy()


@pytest.fixture
def make_table() -> Callable[..., Model]:
    return table_model
