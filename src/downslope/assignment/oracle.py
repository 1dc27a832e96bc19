"""What the reference was observed to do, as it is and with mistakes in it: once, then kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from downslope.assignment.catalogue import Mistake, reference_source
from downslope.assignment.records import Limits, Record, Request, pack, unpack
from downslope.assignment.submission import FUNCTIONS
from downslope.errors import InputError
from downslope.files import keep, read_kept

SHORTER = {
    "attempts: int = 50": "attempts: int = 12",
    '"epochs": [15, 20, 25]': '"epochs": [2, 3]',
    "[8, 12, 16, 20, 32, 48, 64, 128, 145, 256]": "[8, 12, 16, 32]",
}
"""In the reference when it is observed: what a search does shows in a short one."""
LIMITS = Limits(seconds=60.0)


class Oracle:
    """Knows what the reference does with any mistakes in it; several checkers may share one.

    What was observed is kept in the user's cache, a file for each function.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Record]] = {}
        self._changed: set[str] = set()

    def observe(
        self,
        probe: str,
        mistakes: Sequence[Mistake],
        run: Callable[[Request], dict[str, Record]],
        key: bytes,
    ) -> Record | None:
        """Return what a function of the reference was observed to do.

        Args:
            probe: the function.
            mistakes: that the reference is given first.
            run: observes a solution, where this was not observed before.
            key: what decides observations, beside the reference.

        Returns:
            None where the mistakes exclude each other.

        Raises:
            InputError: the machine is too busy for the reference itself.
        """
        source: str | None = reference_source()
        for long, short in SHORTER.items():
            source = source.replace(long, short)
        for mistake in mistakes:
            source = source and mistake.applied(source)
        if source is None:
            return None
        digest = hashlib.sha256(source.encode()).hexdigest()
        if digest not in self._of(probe, key):
            # The reference itself is asked about at once: nearly every solution needs all of it.
            probes = [probe] if mistakes else list(FUNCTIONS)
            records = run(Request(source=source, probes=probes, limits=LIMITS))
            for name in probes:
                record = records.get(name, Record(end="time"))
                if not mistakes and _ended(record):
                    raise InputError(
                        "check: this machine is too busy: the reference itself was stopped at its "
                        "limits; repeat the command later"
                    )
                self._of(name, key)[digest] = record
            self._changed.update(probes)
        return self._of(probe, key)[digest]

    def _of(self, probe: str, key: bytes) -> dict[str, Record]:
        if probe not in self._known:
            self._known.setdefault(probe, _read(probe, key))
        return self._known[probe]

    def keep(self, key: bytes) -> None:
        """Keep what was observed beside what others have kept in the meantime."""
        for probe in sorted(self._changed):
            # What a limit ended, on a machine that was too busy, is observed again.
            known = self._known[probe]
            whole = {digest: known[digest] for digest in known if not _ended(known[digest])}
            keep(_file(probe), key, pack(_read(probe, key) | whole))
        self._changed.clear()


def _ended(record: Record) -> bool:
    """Tell whether a limit ended what was observed."""
    return record.end is not None or (record.error is not None and record.error.limit)


def _file(probe: str) -> str:
    return f"check/{probe}.msgpack"


def _read(probe: str, key: bytes) -> dict[str, Record]:
    content = read_kept(_file(probe), key)
    return {} if content is None else unpack(content, dict[str, Record])
