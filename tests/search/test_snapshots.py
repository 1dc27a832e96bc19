"""The paths that a search keeps: near the engine's own, whole after any kill, of no influence."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downslope.data import Examples
from downslope.engines import Snapshot, train
from downslope.errors import InputError
from downslope.landscape import Trajectory
from downslope.progress import drain
from downslope.search import (
    Halving,
    SearchResult,
    Settings,
    TrialStore,
    search,
    snapshot_bytes,
    trial_snapshots,
)
from downslope.search.snapshots import pack, unpack

RATES = (0.3, 0.01, 0.1, 0.03, 0.2)
PROPOSALS = [Settings(hidden_layers=1, units=8, learning_rate=rate, epochs=4) for rate in RATES]
PROPOSALS.append(PROPOSALS[0].replace({"activation": "leaky_relu", "learning_rate": 1e12}))
HALVING = Halving(method="halving", smallest=0.5, factor=2)


@pytest.fixture(scope="module")
def parts(scaled: Examples) -> tuple[Examples, Examples]:
    return scaled.take(np.arange(160)), scaled.take(np.arange(160, 200))


def found(parts: tuple[Examples, Examples], store: Path, **more: Any) -> SearchResult:
    given = {"classes": 10, "seed": 5, "threads": 1, "halving": HALVING} | more
    return drain(search(PROPOSALS, *parts, store=store, **given))


def timeless(result: SearchResult) -> list[Any]:
    return [(t.id, t.outcome, t.curve, t.reason, t.rank) for t in result.trials]


@pytest.fixture(scope="module")
def whole(
    parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SearchResult]:
    store = tmp_path_factory.mktemp("whole") / "trials.sqlite"
    return store, found(parts, store, snapshots_per_epoch=3)


def test_the_search_is_the_same_with_and_without(
    parts: tuple[Examples, Examples], whole: tuple[Path, SearchResult], tmp_path: Path
) -> None:
    store = tmp_path / "trials.sqlite"
    assert timeless(found(parts, store)) == timeless(whole[1])
    with pytest.raises(InputError, match="no snapshots of trial 0 were kept"):
        trial_snapshots(store, 0)


def test_every_trial_has_the_path_of_its_training(
    parts: tuple[Examples, Examples], whole: tuple[Path, SearchResult]
) -> None:
    store, result = whole
    assert {trial.outcome for trial in result.trials} == {"completed", "pruned", "diverged"}
    for trial in result.trials:
        records = list(train([trial.member], *parts, snapshots_per_epoch=3))[: len(trial.curve)]
        exact = Trajectory.of(one for record in records for one in record.snapshots)
        kept = Trajectory.of(trial_snapshots(store, trial.id))
        assert kept.steps == exact.steps and len(kept) > 0
        np.testing.assert_array_equal(kept.losses, exact.losses)
        if trial.outcome == "diverged":
            continue
        np.testing.assert_array_equal(kept.vectors[0], exact.vectors[0])
        # Float16 has 11 digits: half a unit of the change, whatever came before it.
        change = np.abs(np.diff(exact.vectors, axis=0))
        error = np.abs(kept.vectors - exact.vectors)[1:]
        allowed = change * 2.0**-11 + change.max(axis=1, keepdims=True) * 2.0**-24
        assert (error <= 1.01 * allowed + np.abs(exact.vectors[1:]) * 2.0**-23).all()


def test_snapshots_take_what_was_said(whole: tuple[Path, SearchResult]) -> None:
    store, result = whole
    with TrialStore(store) as opened:
        for trial in result.trials:
            size = sum(len(epoch) for epoch in opened.kept(trial.id, len(trial.curve)))
            said = snapshot_bytes([trial.member], 1, 3)
            assert size <= said + 40 * 3 * trial.settings.epochs
            if trial.outcome == "completed":
                assert size >= said - 2 * trial.member.network.parameters * 1.01


@pytest.mark.parametrize("stop", [2, 5, 9])
def test_paths_are_the_same_after_a_kill(
    parts: tuple[Examples, Examples],
    whole: tuple[Path, SearchResult],
    tmp_path: Path,
    stop: int,
) -> None:
    store, killed = tmp_path / "trials.sqlite", tmp_path / "killed.sqlite"
    given = {"classes": 10, "seed": 5, "threads": 1, "halving": HALVING}
    steps = search(PROPOSALS, *parts, store=store, snapshots_per_epoch=3, **given)
    for _ in range(stop):
        next(steps)
    shutil.copy(store, killed)  # what the disk holds at that moment
    for path in tmp_path.glob("trials.sqlite-*"):
        shutil.copy(path, path.with_name(path.name.replace("trials", "killed")))
    steps.close()
    assert timeless(found(parts, killed, snapshots_per_epoch=3)) == timeless(whole[1])
    for trial in whole[1].trials:
        before, after = (trial_snapshots(path, trial.id) for path in (whole[0], killed))
        assert [one.step for one in before] == [one.step for one in after]
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one.parameters, other.parameters)


def test_numbers_beyond_float16_are_kept() -> None:
    values = ([1e30, 1e-30, 0.0], [-1e30, 1e-30, 1e30], [3e38, np.inf, np.nan], [1.0, 2.0, 3.0])
    path = [
        Snapshot(step=i, loss=float("nan"), parameters=np.array(value, np.float32))
        for i, value in enumerate(values)
    ]
    back = unpack([pack(path[:1], None), pack(path[1:], path[0].parameters)])
    assert [one.parameters.tolist()[:1] for one in back[:2]] == [
        [np.float32(1e30)],
        [np.float32(-1e30)],
    ]
    for one, other in zip(path[2:], back[2:], strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)


def test_what_cannot_be_kept_or_read_is_one_line(
    parts: tuple[Examples, Examples],
    whole: tuple[Path, SearchResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match="no such file"):
        trial_snapshots(tmp_path / "none.sqlite", 0)
    with pytest.raises(InputError, match="holds no trial 99"):
        trial_snapshots(whole[0], 99)
    with pytest.raises(InputError, match="snapshots_per_epoch = -1 is below 0"):
        found(parts, tmp_path / "new.sqlite", snapshots_per_epoch=-1)
    damaged = Path(shutil.copy(whole[0], tmp_path / "damaged.sqlite"))
    with sqlite3.connect(damaged) as connection:
        connection.execute("UPDATE snapshots SET content = x'00' WHERE id = 1 AND epoch = 2")
    connection.close()
    with pytest.raises(InputError, match="snapshots of trial 1, epoch 2, differ"):
        trial_snapshots(damaged, 1)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(InputError, match=r"take about .* MB, and .* room for 0.0 MB"):
        found(parts, tmp_path / "full.sqlite", snapshots_per_epoch=3)
