import csv
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from downslope.errors import InputError
from downslope.report.export import FORMATS, write_export
from downslope.results import Results
from downslope.runs import Run


@pytest.fixture(scope="module")
def written(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export")
    paths = write_export(finished, FORMATS, out)
    assert all(path.exists() for path in paths)
    return out


def test_tables_hold_every_member_and_epoch(written: Path, results: Results) -> None:
    with (written / "members.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert results.search and results.refit and results.variants and results.autoencoder
    assert len(rows) == 3 + 2 + 2 + 2 + 1
    for trial in results.search.trials:
        row = rows[f"search/trial-{trial.id:03d}"]
        assert float(row["validation_accuracy"]) == trial.validation_accuracy
        assert float(row["learning_rate"]) == trial.settings.learning_rate
    accuracy = results.refit.test_accuracy
    assert accuracy is not None
    for seed, reached in zip(results.refit.seeds, accuracy.per_seed, strict=True):
        assert float(rows[f"refit/seed-{seed}"]["test_accuracy"]) == reached
    with (written / "epochs.csv").open(newline="", encoding="utf-8") as file:
        epochs = list(csv.DictReader(file))
    assert sum(row["name"] == "autoencoder" for row in epochs) == len(results.autoencoder.epochs)


def test_lines_of_json_hold_the_curves(written: Path, results: Results) -> None:
    lines = (written / "members.jsonl").read_text("utf-8").splitlines()
    members = {one["name"]: one for one in map(json.loads, lines)}
    assert results.search
    trial = results.search.trials[0]
    curve = members["search/trial-000"]["curve"]
    assert [e["validation_accuracy"] for e in curve] == [e.validation_accuracy for e in trial.curve]


def test_mlflow_reads_its_store(written: Path, results: Results) -> None:
    """Read with SQLite itself: the tables are MLflow's documented ones."""
    with sqlite3.connect(written / "mlflow.db") as store:
        names = dict(store.execute("select run_uuid, name from runs"))
        assert len(names) == 11
        (run,) = (run for run, name in names.items() if name == "search/trial-000")
        points = store.execute(
            "select step, value from metrics where run_uuid = ? and key = 'validation_accuracy' "
            "order by step",
            (run,),
        ).fetchall()
        params = dict(store.execute("select key, value from params where run_uuid = ?", (run,)))
    store.close()
    assert results.search
    trial = results.search.trials[0]
    assert [value for _, value in dict(points).items()] == [
        e.validation_accuracy for e in trial.curve
    ]
    assert float(params["learning_rate"]) == trial.settings.learning_rate


def test_tensorboard_reads_its_events(written: Path, results: Results) -> None:
    from tensorboardX.proto.event_pb2 import Event

    (path,) = (written / "tensorboard/search/trial-000").glob("events*")
    content, at, found = path.read_bytes(), 0, {}
    while at < len(content):  # TFRecord: length, its checksum, the event, its checksum
        size = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + size])
        for value in event.summary.value:
            if value.tag == "train_loss":
                found[event.step] = value.simple_value
        at += 16 + size
    assert results.search
    curve = results.search.trials[0].curve
    assert found == {e.epoch: pytest.approx(e.train_loss, rel=1e-6) for e in curve}


def test_writing_again_replaces_what_was_there(finished: Run, tmp_path: Path) -> None:
    for _ in range(2):
        write_export(finished, ("csv", "tensorboard"), tmp_path)
    assert len(list((tmp_path / "tensorboard/search/trial-000").glob("events*"))) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_missing_package_is_named(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'downslope\[tracking\]'"):
        write_export(finished, ["csv", "tensorboard"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
