"""The manifest: what a run consists of, where it was made, and the digest of every file."""

from __future__ import annotations

from downslope.engines import fingerprint, first_difference
from downslope.files import Sealed

DERIVED = ("recipe.toml", "report.html", "report.pdf", "figures/")
"""What is built from the rest again; damage there costs nothing."""


class Manifest(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run consists of and where it was made; `manifest.json` is this structure.

    It is written just before results.json, so that a kill between the two is told from damage:
    results.json then still has the digest `before`.

    Args:
        downslope: version of this package.
        command: what repeats the run.
        stages: what was asked for last.
        seed: of the recipe.
        data_sha256: digest of the data's content.
        versions: of Python and the packages that compute.
        engine: what trained, as far as it decides the last bits.
        hardware: processor, architecture and usable cores.
        seconds: wall time by stage.
        files: SHA-256 by path within the run.
        before: SHA-256 of the results.json that the one in `files` replaces; empty for the first.
        sha256: of this structure itself.
    """

    downslope: str
    command: str
    stages: list[str]
    seed: int
    data_sha256: str
    versions: dict[str, str]
    engine: str
    hardware: dict[str, str]
    seconds: dict[str, float]
    files: dict[str, str]
    before: str = ""
    sha256: str = ""

    def made_elsewhere(self) -> str:
        """Name the first version in which this installation would compute other bits, if any."""
        return first_difference(
            fingerprint(self.versions, self.engine, self.hardware), fingerprint()
        )


def is_derived(name: str) -> bool:
    """Tell whether a file of a run is built from the others.

    >>> is_derived("figures/history.svg"), is_derived("results.json")
    (True, False)
    """
    return name.startswith(DERIVED)


def stage_of(name: str) -> str:
    """Return the stage whose file this is; empty for a file of the run or of its report.

    >>> stage_of("search/trials.sqlite"), stage_of("model/model.json"), stage_of("results.json")
    ('search', 'refit', '')
    """
    folder, below, _ = name.partition("/")
    if not below or is_derived(name):
        return ""
    return "refit" if folder == "model" else folder
