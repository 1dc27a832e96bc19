import sqlite3
from pathlib import Path

import msgspec
import pytest

from downslope.errors import InputError
from downslope.search import PausedTrial, Settings, Trial, TrialEpoch, TrialStore


def trial(number: int, outcome: str = "completed") -> Trial:
    settings = Settings(units=number + 1)
    return msgspec.convert(
        {
            "id": number,
            "settings": settings,
            "member": settings.member(4, 3, seed=number),
            "outcome": outcome,
            "reason": "",
            "validation_accuracy": 0.1 + number / 3,
            "validation_loss": 1 / 3,
            "train_loss": None,
            "curve": [
                TrialEpoch(epoch=1, train_loss=None, validation_loss=0.1, validation_accuracy=0.2)
            ],
            "seconds": 0.1,
        },
        Trial,
        from_attributes=True,
    )


def test_what_is_added_is_there_for_the_next_process_in_the_order_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    with TrialStore(path) as store:
        for number in (2, 0, 1):
            store.add(trial(number))
    with TrialStore(path) as store:
        assert store.trials() == [trial(0), trial(1), trial(2)]


def test_a_trial_is_on_disk_before_the_store_is_closed(tmp_path: Path) -> None:
    with TrialStore(tmp_path / "t.sqlite") as store:
        store.add(trial(0))
        other = sqlite3.connect(tmp_path / "t.sqlite")
        rows = other.execute("SELECT id, seed, outcome, validation_accuracy FROM trials").fetchall()
        other.close()
    assert rows == [(0, 0, "completed", 0.1)]
    assert [p.name for p in tmp_path.iterdir()] == ["t.sqlite"]


def test_a_trial_added_again_replaces_the_first(tmp_path: Path) -> None:
    with TrialStore(tmp_path / "t.sqlite") as store:
        store.add(trial(0, "diverged"))
        store.add(trial(0))
        assert [t.outcome for t in store.trials()] == ["completed"]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"hello, world\n" * 200)
    with pytest.raises(InputError, match=r"t\.sqlite: not a trial store"):
        TrialStore(path)
    assert path.read_bytes() == b"hello, world\n" * 200


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        TrialStore(tmp_path / "nowhere" / "t.sqlite")


@pytest.mark.parametrize("keep", [30, 100, 4096, 6000, 8191])
def test_a_truncated_store_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "t.sqlite"
    with TrialStore(path) as store:
        for number in range(30):
            store.add(trial(number))
    content = path.read_bytes()
    assert len(content) > 8192
    path.write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"t\.sqlite"), TrialStore(path) as store:
        store.trials()


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '{"id": "x"}', b"\xff\xfe", 7])
def test_a_row_that_is_no_trial_is_refused_by_name(tmp_path: Path, text: object) -> None:
    path = tmp_path / "t.sqlite"
    with TrialStore(path) as store:
        store.add(trial(0))
    raw = sqlite3.connect(path)
    raw.execute("UPDATE trials SET trial = ?", (text,))
    raw.commit()
    raw.close()
    with (
        TrialStore(path) as store,
        pytest.raises(InputError, match=r"t\.sqlite: damaged trial store"),
    ):
        store.trials()


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE trials (name TEXT)")
    raw.commit()
    raw.close()
    with TrialStore(path) as store:
        with pytest.raises(InputError, match="damaged trial store"):
            store.trials()
        with pytest.raises(InputError, match="trial 0 cannot be stored"):
            store.add(trial(0))


def waiting(number: int) -> PausedTrial:
    done = trial(number)
    return PausedTrial(
        id=number, settings=done.settings, member=done.member, curve=done.curve, seconds=0.5
    )


def test_what_waits_at_a_rung_is_there_for_the_next_process_until_it_has_ended(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trials.sqlite"
    with TrialStore(path) as store:
        store.pause(waiting(1), b"one")
        store.pause(waiting(0), b"nought" * 100_000)
        store.pause(waiting(1), b"two")
        large = path.stat().st_size
    with TrialStore(path) as store:
        assert store.paused() == [waiting(0), waiting(1)]
        assert store.state(1) == b"two"
        store.add(trial(0))
        assert store.paused() == [waiting(1)]
        assert store.trials() == [trial(0)]
        assert path.stat().st_size < large / 10  # pruned states leave no holes
        with pytest.raises(InputError, match=r"trials\.sqlite: damaged trial store"):
            store.state(0)


@pytest.mark.parametrize("column", ["trial", "state"])
def test_one_changed_byte_of_what_waits_is_seen(tmp_path: Path, column: str) -> None:
    path = tmp_path / "trials.sqlite"
    with TrialStore(path) as store:
        store.pause(waiting(3), b"state of three")
    connection = sqlite3.connect(path)
    with connection:
        kind = "BLOB" if column == "state" else "TEXT"
        connection.execute(
            f"UPDATE paused SET {column} = CAST(replace({column}, 't', 'u') AS {kind})"
        )
    connection.close()
    with TrialStore(path) as store, pytest.raises(InputError, match="digest of"):
        store.paused()
        store.state(3)
