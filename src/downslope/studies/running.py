"""Running a study: part after part into a directory, resumed by repetition, then its page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import msgspec

from downslope.engines import (
    engine_name,
    fingerprint,
    first_difference,
    hardware,
    instruction_set,
    versions,
)
from downslope.errors import InputError
from downslope.files import Sealed, inside, sha256_of
from downslope.progress import Progress, Steps, retold
from downslope.recipes.context import differences
from downslope.report.blocks import (
    Column,
    Document,
    Facts,
    Figures,
    Paragraph,
    Row,
    Section,
    Table,
)
from downslope.report.display import Source, write_figures
from downslope.report.formats import capitalized, number
from downslope.report.html import render_page
from downslope.report.typst import compile_source, render_source
from downslope.runs import Run
from downslope.statistics import Effect, Verdict, verdict_of
from downslope.studies.study import Analysis, Study

RECORD = "study.json"
_MARKS = {"reproduced": "good", "not reproduced": "bad", "undecided": "open"}


class StudyResult(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What study.json holds.

    Args:
        study: its name.
        settings: all of them.
        data_sha256: digest of the data; empty where the study draws its own.
        downslope: version of this package.
        versions: of Python and the packages that compute.
        engine: what trained, as far as it decides the last bits.
        hardware: processor, architecture and cores.
        core_seconds: processor time by part, all threads together.
        instruction_sets: that each part was computed with.
        files: SHA-256 of what each part left, by path.
        verdict: on the claim; None until all parts are done.
        effects: that the verdict rests on.
        test_set_openings: reasons, one for each.
        sha256: of this structure itself.
    """

    study: str
    settings: dict[str, Any]
    data_sha256: str
    downslope: str
    versions: dict[str, str]
    engine: str
    hardware: dict[str, str]
    core_seconds: dict[str, float] = msgspec.field(default_factory=dict)
    instruction_sets: dict[str, str] = msgspec.field(default_factory=dict)
    files: dict[str, str] = msgspec.field(default_factory=dict)
    verdict: Verdict | None = None
    effects: list[Effect] = msgspec.field(default_factory=list)
    test_set_openings: list[str] = msgspec.field(default_factory=list)
    sha256: str = ""


def run_study(study: Study, run: Run, *, threads: int | None = None) -> Steps[StudyResult]:
    """Compute what is left of a study, judge its claim and write its page.

    The directory holds `study.json`, what each part left in `parts/`, the figures with their data
    as CSV in `figures/`, and the page as `study.html` and `study.pdf`. A part that is there and
    undamaged is not computed again.

    Args:
        study: with its settings.
        run: the directory.
        threads: networks at a time, by default one per core; the result does not depend on it.

    Raises:
        InputError: the directory holds something else, a study of other settings, data or
            versions, or cannot be written; the data are not here.
    """
    run.check_name()
    dataset = study.dataset()
    fresh = StudyResult(
        study=study.name,
        settings=msgspec.json.decode(msgspec.json.encode(study)),  # lists for tuples, as in JSON
        data_sha256="" if dataset is None else dataset.sha256,
        downslope=metadata.version("downslope"),
        versions=versions(),
        engine=engine_name(),
        hardware=hardware(),
    )
    result = _resumed(run, fresh)
    parts = study.parts(dataset, threads)
    total, done = sum(part.cost for part in parts), 0.0
    with run.locked():
        for part in parts:
            name = f"parts/{part.name}.npz"
            path = inside(run.path, name)
            if not (path.is_file() and sha256_of(path) == result.files.get(name)):
                before = time.process_time()
                arrays = yield from retold(
                    part.compute(),
                    lambda step, start=done, part=part: Progress(
                        study.name,
                        start + part.cost * (step.done / step.total if step.total else 0.0),
                        total,
                        part.name,
                    ),
                )
                run.write_arrays(name, arrays)
                openings = [] if dataset is None else [o.reason for o in dataset.test.openings]
                seconds = time.process_time() - before
                result = msgspec.structs.replace(
                    result,
                    core_seconds=result.core_seconds | {part.name: seconds},
                    instruction_sets=result.instruction_sets | {part.name: instruction_set()},
                    files=result.files | {name: run.written[name]},
                    test_set_openings=[*dict.fromkeys([*result.test_set_openings, *openings])],
                )
                run.write(RECORD, result.to_bytes())
            done += part.cost
            yield Progress(study.name, done, total, part.name)
        analysis = study.analyse(
            {part.name: run.read_arrays(f"parts/{part.name}.npz") for part in parts}
        )
        result = msgspec.structs.replace(
            result, verdict=verdict_of(analysis.effects), effects=list(analysis.effects)
        )
        _write_page(study, run, result, analysis)
        run.write(RECORD, result.to_bytes())
    return result


def _resumed(run: Run, fresh: StudyResult) -> StudyResult:
    """Return what the directory holds of this very study; begin where it is empty."""
    path = run.path / RECORD
    if not path.is_file():
        if run.path.is_dir() and any(not p.name.startswith(".") for p in run.path.iterdir()):
            raise InputError(
                f"{run.path}: holds files but no study; choose a new or an empty directory"
            )
        run.write(RECORD, fresh.to_bytes())
        return fresh
    try:
        result = StudyResult.from_bytes(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}; begin in another directory") from None
    for key in ("study", "settings", "data_sha256"):
        if different := differences(getattr(result, key), getattr(fresh, key), key):
            raise InputError(f"{run.path}: holds another study ({different}); choose a new folder")
    if different := first_difference(
        fingerprint(result.versions, result.engine, result.hardware), fingerprint()
    ):
        raise InputError(
            f"{run.path}: was begun with other versions ({different}); choose a new folder"
        )
    return result


def _write_page(study: Study, run: Run, result: StudyResult, analysis: Analysis) -> None:
    assert result.verdict is not None
    title = capitalized(study.title)
    document = Document(
        title,
        f"Claim of {study.paper}: {study.claim}",
        [Paragraph(f"{capitalized(result.verdict)}.", _MARKS[result.verdict])],  # pyright: ignore[reportArgumentType]
        [
            Section("study", "What was seen", [Figures(analysis.displays), effects_table(result)]),
            Section(
                "method",
                "How it was measured",
                [*map(Paragraph, analysis.notes), Facts(_facts(result))],
            ),
        ],
    )
    drawings = write_figures(run, document.displays())
    run.write("study.html", render_page(document, drawings).encode())
    run.write("study.pdf", compile_source(render_source(document, drawings), drawings))


def effects_table(result: StudyResult) -> Table:
    """Set the effects that a claim consists of, with the interval that decides each."""
    marks = {"reproduced": "pass", "not reproduced": "fail", "undecided": "inconclusive"}
    rows = [
        Row(
            [
                effect.what,
                number(effect.estimate, 3),
                f"{number(effect.interval[0], 3)} to {number(effect.interval[1], 3)}",
                f"{effect.claimed} {effect.bound:g}",
                number(effect.detectable, 2),
                str(effect.seeds),
                effect.verdict,
            ],
            marks[effect.verdict],
        )
        for effect in result.effects
    ]
    numbers = ("mean", "95 % interval", "claim", "detectable effect", "seeds")
    columns = [Column("quantity", False), *map(Column, numbers), Column("verdict", False)]
    how = "Student's interval of the mean over seeds"
    caption = (
        "What the claim consists of. The interval decides; detectable effect: how far from the "
        "bound a true mean must be to be told from it with a power of 80 %"
    )
    return Table(caption, columns, rows, Source(f"{RECORD}: effects", how))


def _facts(result: StudyResult) -> Sequence[tuple[str, str]]:
    sets = ", ".join(sorted(set(result.instruction_sets.values())))
    facts = [
        ("processor time", f"{sum(result.core_seconds.values()) / 60:.1f} core-minutes, on {sets}"),
        ("settings", ", ".join(f"{key} = {value}" for key, value in result.settings.items())),
        ("versions", ", ".join(f"{name} {text}" for name, text in result.versions.items())),
    ]
    if result.data_sha256:
        facts.append(("data", f"SHA-256 {result.data_sha256}"))
    if result.test_set_openings:
        facts.append(("test set opened", "; ".join(result.test_set_openings)))
    return facts
