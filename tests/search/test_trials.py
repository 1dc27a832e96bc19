import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_a_trial_is_on_disk_once_it_is_committed(tmp_path: Path) -> None:
    with TrialStore(tmp_path / "t.sqlite") as store:
        store.add(trial(0))
        store.commit()
        store.add(trial(1))
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


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store of twelve trials on several pages."""
    path = tmp_path_factory.mktemp("stored") / "t.sqlite"
    with TrialStore(path) as store:
        for number in range(12):
            store.add(trial(number))
    content = path.read_bytes()
    assert len(content) > 12_288
    return content


def held_or_refused(path: Path) -> list[Trial] | None:
    """What a damaged store still holds, None where it was refused by name."""
    try:
        with TrialStore(path) as store:
            return store.trials()
    except InputError as error:
        assert str(path) in str(error)
        assert "Traceback" not in str(error)
        return None


def test_a_store_truncated_at_any_byte_holds_no_wrong_number(stored: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    for keep in [*range(0, 130), *range(130, len(stored), 61), len(stored) - 1]:
        path.write_bytes(stored[:keep])
        # One that SQLite takes for empty is an empty store: its trials are trained again.
        assert not held_or_refused(path), keep


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_store_with_a_flipped_bit_holds_no_wrong_number(
    stored: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    at, bit = data.draw(st.integers(0, len(stored) - 1)), data.draw(st.integers(0, 7))
    path = tmp_path / "t.sqlite"
    path.write_bytes(stored[:at] + bytes([stored[at] ^ 1 << bit]) + stored[at + 1 :])
    found = held_or_refused(path)
    # A trial may be lost, which is then trained again, but none may be another.
    assert found is None or all(one == trial(one.id) for one in found), (at, bit)


def test_letters_of_the_tables_names_that_are_none_are_refused(
    stored: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "t.sqlite"
    first = stored.index(b"CREATE TABLE")
    for at in range(first - 200, 4096):  # the whole of the schema, on the first page
        path.write_bytes(stored[:at] + bytes([stored[at] ^ 0x80]) + stored[at + 1 :])
        found = held_or_refused(path)
        assert found is None or all(one == trial(one.id) for one in found), at


def test_a_changed_figure_in_a_row_is_refused(stored: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(stored)
    raw = sqlite3.connect(path)
    raw.execute("UPDATE trials SET trial = replace(trial, '0.1', '0.9') WHERE id = 3")
    raw.commit()
    raw.close()
    named = r"t\.sqlite: damaged .*the digest of trial 3 differs"
    with TrialStore(path) as store, pytest.raises(InputError, match=named):
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


# A view that never ends, and what else computes when it is read or written.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "


@pytest.mark.parametrize(
    "foreign",
    [
        ["CREATE TABLE trials (name TEXT)"],
        ["CREATE TABLE more (name TEXT)"],
        [f"CREATE VIEW trials AS {ENDLESS} i, i, i, i, i, i FROM n"],
        [f"CREATE VIEW paused AS {ENDLESS} i, i, i, i, i FROM n"],
        [
            "CREATE TABLE more (name TEXT)",
            f"CREATE TRIGGER t AFTER INSERT ON more BEGIN {ENDLESS} i FROM n; END",
        ],
        ["CREATE VIRTUAL TABLE trials USING fts5(name)"],
    ],
)
def test_a_store_with_anything_but_our_tables_is_refused(
    tmp_path: Path, foreign: list[str]
) -> None:
    path = tmp_path / "t.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        for statement in foreign:
            raw.execute(statement)
        raw.commit()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"t\.sqlite: not a trial store"):
        TrialStore(path)
    assert path.read_bytes() == before


def test_rows_that_come_round_again_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TrialStore(tmp_path / "t.sqlite") as store:
        store.add(trial(0))
        store.add(trial(1))
        rows = list(store._connection.execute("SELECT * FROM trials ORDER BY id"))

        class Circle:
            def execute(self, *_: object) -> Iterator[tuple[object, ...]]:
                return cycle(rows)

        with monkeypatch.context() as patch:
            patch.setattr(store, "_connection", Circle())
            with pytest.raises(InputError, match="trial 0 follows trial 1"):
                store.trials()


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
def test_a_link_in_place_of_a_file_of_sqlite_is_not_followed(tmp_path: Path, ending: str) -> None:
    (tmp_path / "precious").write_text("mine")
    path = tmp_path / "t.sqlite"
    Path(f"{path}{ending}").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=f"sqlite{ending}: is a link"):
        TrialStore(path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_store_that_was_removed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    store = TrialStore(tmp_path / "run" / "t.sqlite")
    with pytest.raises(InputError, match="the file was removed"), store:
        store.add(trial(0))
        shutil.rmtree(tmp_path / "run")
    assert not (tmp_path / "run").exists()


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
        store.commit()
        large = path.stat().st_size
    with TrialStore(path) as store:
        assert store.paused() == [waiting(0), waiting(1)]
        assert store.state(1) == b"two"
        store.add(trial(0))
        assert store.paused() == [waiting(1)]
        assert store.trials() == [trial(0)]
        store.commit()
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
