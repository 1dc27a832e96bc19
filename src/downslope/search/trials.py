"""What became of each trial, stored as it comes."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Literal

import msgspec

from downslope.errors import InputError
from downslope.networks import Member
from downslope.search.settings import Settings


class TrialEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one point of a trial's learning curve; None stands for a loss that is not finite."""

    epoch: int
    train_loss: float | None
    validation_loss: float | None
    validation_accuracy: float | None


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Hold a member that a search proposed, with its outcome.

    Args:
        id: from 0, in the order of proposal.
        settings: what the search chose.
        member: what was trained; its seed is the search's seed plus the id.
        outcome: "completed", "diverged" (a loss was not finite) or "failed".
        reason: one line for an outcome other than "completed".
        validation_accuracy: after the last epoch, in [0, 1]; None unless completed.
        validation_loss: after the last epoch; None unless completed.
        train_loss: mean over the last epoch; None if not finite.
        curve: one entry per epoch.
        seconds: wall time of its epochs.
    """

    id: int
    settings: Settings
    member: Member
    outcome: Literal["completed", "diverged", "failed"]
    reason: str
    validation_accuracy: float | None
    validation_loss: float | None
    train_loss: float | None
    curve: list[TrialEpoch]
    seconds: float


class TrialStore:
    """Keep finished trials in one SQLite file; each is there for good once `add` returns.

    Raises:
        InputError: the file is not a trial store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be opened ({error})") from None
        try:
            self._connection.execute("PRAGMA journal_mode=DELETE")
            self._connection.execute("PRAGMA synchronous=EXTRA")  # a power cut included
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS trials (id INTEGER PRIMARY KEY, seed INTEGER NOT NULL, "
                "outcome TEXT NOT NULL, validation_accuracy REAL, trial TEXT NOT NULL, "
                "sha256 TEXT NOT NULL)"
            )
            self._connection.commit()
        except sqlite3.Error as error:
            self._connection.close()
            raise InputError(f"{path}: not a trial store ({error}); remove or move it") from None

    def __enter__(self) -> TrialStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def add(self, trial: Trial) -> None:
        """Store a finished trial durably.

        Raises:
            InputError: the file cannot be written: a full disk, or another process writes to it.
        """
        try:
            with self._connection:
                self._connection.execute(
                    "INSERT OR REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?)", _row(trial)
                )
        except sqlite3.Error as error:
            raise InputError(f"{self.path}: trial {trial.id} cannot be stored ({error})") from None

    def trials(self) -> list[Trial]:
        """Read all stored trials, by id.

        Raises:
            InputError: the file is damaged: SQLite says so, or a row is not what was stored.
        """
        found: list[Trial] = []
        try:
            for row in self._connection.execute("SELECT * FROM trials ORDER BY id"):
                trial = msgspec.json.decode(row[4], type=Trial)
                if row != _row(trial):  # SQLite has no checksums of its own
                    raise InputError(f"the digest of trial {row[0]} differs")
                found.append(trial)
        except (sqlite3.Error, msgspec.DecodeError, IndexError, TypeError, InputError) as error:
            raise InputError(
                f"{self.path}: damaged trial store ({error}); remove it to train its trials again"
            ) from None
        return found


def _row(trial: Trial) -> tuple[int, int, str, float | None, str, str]:
    text = msgspec.json.encode(trial).decode()
    columns = (trial.id, trial.member.seed, trial.outcome, trial.validation_accuracy, text)
    return (*columns, hashlib.sha256(text.encode()).hexdigest())
