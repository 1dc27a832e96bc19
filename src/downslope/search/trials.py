"""What became of each trial, stored as it comes."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from downslope.errors import InputError
from downslope.files import inside
from downslope.networks import Member
from downslope.search.settings import Settings
from downslope.showing import Shown

# A table's name that is no UTF-8 any more ends in Python's own error, within SQLite's.
_SQLITE = (sqlite3.Error, UnicodeDecodeError)
_DAMAGE = (sqlite3.Error, msgspec.DecodeError, IndexError, TypeError, ValueError)

SOON = 0.5
"""Seconds that a trial waits at most for its commit, however many arrive meanwhile."""

_TABLES = (
    "TABLE trials (id INTEGER PRIMARY KEY, seed INTEGER NOT NULL, outcome TEXT NOT NULL, "
    "validation_accuracy REAL, trial TEXT NOT NULL, sha256 TEXT NOT NULL)",
    # The state is a checkpoint as safetensors; a trial that has ended has no row here.
    "TABLE paused (id INTEGER PRIMARY KEY, trial TEXT NOT NULL, sha256 TEXT NOT NULL, "
    "state BLOB NOT NULL, state_sha256 TEXT NOT NULL)",
)
# Made only where a search keeps paths; each row is what `snapshots.pack` wrote of an epoch.
_SNAPSHOTS = (
    "TABLE snapshots (id INTEGER NOT NULL, epoch INTEGER NOT NULL, content BLOB NOT NULL, "
    "sha256 TEXT NOT NULL, PRIMARY KEY (id, epoch))"
)

Outcome = Literal["completed", "pruned", "diverged", "failed"]


class TrialEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a trial's learning curve; None stands for a loss that is not finite."""

    epoch: int
    train_loss: float | None
    validation_loss: float | None
    validation_accuracy: float | None


class Trial(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A member that a search proposed, with its outcome.

    Args:
        id: from 0, in the order of proposal.
        settings: what the search chose.
        member: what was trained; its seed is the search's seed plus the id.
        outcome: "completed"; "pruned" at a rung; "diverged": a loss was not finite, or it ended far
            above that of even chances; or "failed".
        reason: one line for an outcome other than "completed".
        validation_accuracy: after the last epoch, in [0, 1]; None unless completed.
        validation_loss: after the last epoch; None unless completed.
        train_loss: mean over the last epoch; None if not finite.
        curve: one entry per epoch.
        seconds: wall time of its epochs.
        cohort: with which trials it was proposed and compared, from 0.
        rung: the rung at which it was pruned, from 1; None unless pruned.
        rank: its place among those that reached that rung, from 1; None unless pruned.
    """

    id: int
    settings: Settings
    member: Member
    outcome: Outcome
    reason: str
    validation_accuracy: float | None
    validation_loss: float | None
    train_loss: float | None
    curve: list[TrialEpoch]
    seconds: float
    cohort: int = 0
    rung: int | None = None
    rank: int | None = None

    def facts(self) -> Mapping[str, object]:
        """Return what became of the trial and what it was."""
        measured = ("validation_accuracy", "validation_loss")
        return {
            "id": self.id,
            "outcome": self.outcome,
            **{name.replace("_", " "): getattr(self, name) for name in measured},
            **self.member.facts(),
            "epochs": f"{len(self.curve)} of {self.settings.epochs}",
            "seconds": self.seconds,
            "reason": self.reason,
        }

    def row(self) -> dict[str, Any]:
        """Return the trial's row of a data frame, with a column for each hyperparameter."""
        measured = ("outcome", "validation_accuracy", "validation_loss", "train_loss", "seconds")
        return {
            "id": self.id,
            **{name: getattr(self, name) for name in measured},
            "seed": self.member.seed,
            "trained_epochs": len(self.curve),
            **msgspec.structs.asdict(self.settings),
            "reason": self.reason,
        }


class PausedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that waits at a rung, to go on from its state or to be pruned."""

    id: int
    settings: Settings
    member: Member
    curve: list[TrialEpoch]
    seconds: float


class TrialStore:
    """Trials in one SQLite file; each is there for good once `commit` returns.

    A commit waits for the disk, so trials that arrive meanwhile share the next one. What a kill
    takes away is trained again, to the same bits.

    Raises:
        InputError: the file is not a trial store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for ending in ("", "-journal", "-wal", "-shm"):  # SQLite would follow a link in their place
            inside(path.parent, path.name + ending)
        fresh = not path.exists()
        try:
            self._connection = sqlite3.connect(path)
        except _SQLITE as error:
            raise InputError(f"{path}: cannot be opened ({error})") from None
        try:
            self._connection.execute("PRAGMA trusted_schema=OFF")
            self._refuse_more_than_tables()
            if fresh:  # states of pruned trials leave no holes behind
                self._connection.execute("PRAGMA auto_vacuum=FULL")
            self._connection.execute("PRAGMA journal_mode=DELETE")
            self._connection.execute("PRAGMA synchronous=EXTRA")  # a power cut included
            for table in _TABLES:
                self._connection.execute(f"CREATE {table.replace(' ', ' IF NOT EXISTS ', 1)}")
            self._connection.commit()
            self._committed = time.monotonic()
        except _SQLITE as error:
            self._connection.close()
            raise InputError(f"{path}: not a trial store ({error}); remove or move it") from None

    def __enter__(self) -> TrialStore:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # What was finished before an error or an interrupt is kept, if the disk lets us.
        with closing(self._connection), nullcontext() if kind is None else suppress(InputError):
            self.commit()

    def _refuse_more_than_tables(self) -> None:
        """Refuse views and triggers: they compute when they are read or written, maybe for ever."""
        rows = self._connection.execute("SELECT type, name, sql FROM sqlite_master")
        for kind, name, text in rows:
            if text is not None and text not in {f"CREATE {t}" for t in (*_TABLES, _SNAPSHOTS)}:
                raise sqlite3.DatabaseError(f"it has a {kind} {name!r} that we did not make")

    def add(self, trial: Trial) -> None:
        """Store a finished trial.

        Raises:
            InputError: the file cannot be written: a full disk, or another process writes to it.
        """
        with self._storing(f"trial {trial.id}"):
            self._connection.execute(
                "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?)", _row(trial)
            )
            self._connection.execute("DELETE FROM paused WHERE id = ?", (trial.id,))
        self._commit_soon()

    def pause(self, trial: PausedTrial, state: bytes) -> None:
        """Store a trial that has reached a rung, with the state it goes on from.

        Raises:
            InputError: as `add`.
        """
        text = msgspec.json.encode(trial)
        row = (trial.id, text.decode(), _sha256(text), state, _sha256(state))
        with self._storing(f"trial {trial.id}"):
            self._connection.execute("INSERT OR REPLACE INTO paused VALUES (?, ?, ?, ?, ?)", row)
        self._commit_soon()

    def keep(self, number: int, epoch: int, content: bytes) -> None:
        """Store the snapshots of an epoch of a trial, before what says that the epoch was trained.

        Raises:
            InputError: as `add`.
        """
        with self._storing(f"snapshots of trial {number}"):
            self._connection.execute(f"CREATE {_SNAPSHOTS.replace(' ', ' IF NOT EXISTS ', 1)}")
            row = (number, epoch, content, _sha256(content))
            self._connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", row)

    def kept(self, number: int, epochs: int) -> list[bytes]:
        """Read the snapshots of a trial's first epochs; empty where none were kept.

        Raises:
            InputError: they are damaged, or those of an epoch are missing.
        """
        contents: list[bytes] = []
        with self._reading():
            known = "SELECT name FROM sqlite_master WHERE name = 'snapshots'"
            if not self._connection.execute(known).fetchone():
                return []
            rows = self._connection.execute(
                "SELECT epoch, content, sha256 FROM snapshots WHERE id = ? AND epoch <= ? "
                "ORDER BY epoch",
                (number, epochs),
            )
            for epoch, content, digest in rows:
                if digest != _sha256(content) or epoch != len(contents) + 1:
                    raise InputError(f"the snapshots of trial {number}, epoch {epoch}, differ")
                contents.append(content)
        if contents and len(contents) < epochs:
            raise InputError(f"{self.path}: trial {number} lacks the snapshots of its last epochs")
        return contents

    def commit(self) -> None:
        """Bring all that was stored to the disk, a power cut included.

        Raises:
            InputError: as `add`.
        """
        with self._storing("trials"):
            self._connection.commit()
        self._committed = time.monotonic()

    @contextmanager
    def _storing(self, what: str) -> Generator[None]:
        try:
            yield
        except _SQLITE as error:
            reason = str(error) if self.path.exists() else "the file was removed"
            raise InputError(f"{self.path}: {what} cannot be stored ({reason})") from None

    def _commit_soon(self) -> None:
        if time.monotonic() - self._committed > SOON:
            self.commit()

    def paused(self) -> list[PausedTrial]:
        """Read all trials that wait at a rung, by id, without their states.

        Raises:
            InputError: as `trials`.
        """
        waiting: list[PausedTrial] = []
        with self._reading():
            rows = self._connection.execute("SELECT trial, sha256 FROM paused ORDER BY id")
            for text, digest in rows:
                if digest != _sha256(text.encode()):
                    raise InputError("the digest of a waiting trial differs")
                waiting.append(msgspec.json.decode(text, type=PausedTrial))
                _refuse_circles(waiting)
        return waiting

    def state(self, number: int) -> bytes:
        """Read the state of a trial that waits at a rung.

        Raises:
            InputError: there is none, or it is damaged.
        """
        with self._reading():
            rows = self._connection.execute(
                "SELECT state, state_sha256 FROM paused WHERE id = ?", (number,)
            )
            state, digest = rows.fetchone()
            if digest != _sha256(state):
                raise InputError(f"the digest of the state of trial {number} differs")
        return state

    def trials(self) -> list[Trial]:
        """Read all stored trials, by id.

        Raises:
            InputError: the file is damaged: SQLite says so, or a row is not what was stored.
        """
        finished: list[Trial] = []
        with self._reading():
            for row in self._connection.execute("SELECT * FROM trials ORDER BY id"):
                trial = msgspec.json.decode(row[4], type=Trial)
                if row != _row(trial):  # SQLite has no checksums of its own
                    raise InputError(f"the digest of trial {row[0]} differs")
                finished.append(trial)
                _refuse_circles(finished)
        return finished

    @contextmanager
    def _reading(self) -> Generator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise InputError(
                f"{self.path}: damaged trial store ({error}); remove it to train its trials again"
            ) from None


def _refuse_circles(read: Sequence[Trial | PausedTrial]) -> None:
    """Refuse pages that lead back to themselves: SQLite would read them for ever."""
    if len(read) > 1 and read[-1].id <= read[-2].id:
        raise InputError(f"trial {read[-1].id} follows trial {read[-2].id}")


def _row(trial: Trial) -> tuple[int, int, str, float | None, str, str]:
    text = msgspec.json.encode(trial).decode()
    columns = (trial.id, trial.member.seed, trial.outcome, trial.validation_accuracy, text)
    return (*columns, _sha256(text.encode()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
