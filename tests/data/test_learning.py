"""What a table is learnt as does not depend on the type that its numbers were saved in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from downslope.data import load
from downslope.progress import drain
from downslope.recipes import parse_recipe, run_recipe
from downslope.runs import Run

RECIPE = parse_recipe(
    {
        "seed": 7,
        "refit": {
            "seeds": 1,
            "choice": {
                "hidden_layers": 1,
                "units": 16,
                "learning_rate": 0.1,
                "batch_size": 16,
                "epochs": 15,
            },
        },
    },
    "tables",
)


def accuracy(data: Path, out: Path) -> float:
    results = drain(run_recipe(RECIPE, load(data), Run(out), stages=["refit"], threads=1))
    assert results.refit is not None and results.refit.test_accuracy is not None
    assert results.data.notes == list(load(data).notes) != []
    return results.refit.test_accuracy.mean


@pytest.mark.parametrize(("levels", "width"), [(2, 20), (2, 64), (17, 20), (17, 64)])
def test_a_table_of_bytes_is_learnt_as_well_as_one_of_floats(tmp_path: Path, levels, width):
    x = np.random.default_rng(0).integers(0, levels, (400, width))
    y = x[:, 0] + x[:, 1] > x[:, 2] + x[:, 3] * 0.5
    found = []
    for dtype in (np.uint8, np.float64):
        np.savez(tmp_path / f"{np.dtype(dtype)}.npz", X=x.astype(dtype), y=y)
        found.append(accuracy(tmp_path / f"{np.dtype(dtype)}.npz", tmp_path / str(np.dtype(dtype))))
    assert found[0] == found[1] > 0.85


@pytest.mark.parametrize("first", [1_700_000_000, 10**14])
def test_a_table_of_large_numbers_is_learnt_as_one_from_zero(tmp_path: Path, first):
    seconds = np.random.default_rng(0).integers(0, 200, 400)
    found = []
    for start in (0, first):
        frame = pd.DataFrame({"time": start + seconds, "late": seconds >= 100})
        frame.to_csv(tmp_path / f"{start}.csv", index=False)
        found.append(accuracy(tmp_path / f"{start}.csv", tmp_path / str(start)))
    assert found[0] == found[1] > 0.95


def test_the_index_that_pandas_writes_teaches_nothing(tmp_path: Path):
    noise = np.random.default_rng(0).normal(size=400)
    frame = pd.DataFrame({"noise": noise, "kind": np.repeat(["a", "b"], 200)})
    frame.to_csv(tmp_path / "t.csv")
    assert accuracy(tmp_path / "t.csv", tmp_path / "run") < 0.65
