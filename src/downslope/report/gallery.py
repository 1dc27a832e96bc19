"""All static figures of a run, drawn once: for the page, and for the run's figures folder."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from downslope.report.arrays import Arrays as Arrays
from downslope.report.arrays import arrays as arrays
from downslope.report.interactive import Scene
from downslope.report.picture import Picture, picture
from downslope.report.sections import autoencoder, landscape, refit, search, theory, variants
from downslope.report.style import draw_missing
from downslope.results import Results


def gallery(results: Results, arrays: Arrays) -> dict[str, Picture]:
    """Draw every figure that the results allow, by name."""
    # Figures leave many objects behind; without this, each time they are cleared away all that
    # torch and others hold would be looked through too: a sixth of the time.
    gc.freeze()
    try:
        made = [
            *_all_of("theory", theory.pictures(results)),
            *_all_of("search", search.pictures(results)),
            *_all_of("refit", refit.pictures(results, arrays.answers)),
            *_all_of("variants", variants.pictures(results)),
            *_all_of("landscape", _landscape(results, arrays)),
            *_all_of("autoencoder", _autoencoder(results, arrays)),
        ]
    finally:
        gc.unfreeze()
    return {picture.name: picture for picture in made}


def _all_of(section: str, pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Yield a section's figures; one that cannot be drawn must not cost the page of a long run."""
    last = ""
    try:
        for one in pictures:
            yield one
            last = f" after {one.name}"
    except Exception as error:  # of matplotlib too, at numbers that no axis can show
        reason = f"{type(error).__name__}: {error}"[:200]
        yield picture(
            f"{section}-missing",
            draw_missing(f"The figures{last} cannot be drawn"),
            f"The figures of {section}{last} cannot be drawn.",
            f"The figures{last} cannot be drawn ({reason}). results.json holds the numbers.",
            "",
        )


def _landscape(results: Results, arrays: Arrays) -> Iterator[Picture]:
    if results.landscape is None:
        return
    if arrays.surface is not None:
        yield from landscape.landscape_pictures(results.landscape, arrays.surface)
    joint = results.joint_landscape
    if joint is not None and arrays.joint is not None:
        yield landscape.joint_picture(joint, arrays.joint)
    trials = results.trials_landscape
    if trials is not None and arrays.trials is not None:
        yield landscape.joint_picture(trials, arrays.trials, "landscape-trials", "The best trials")


def landscape_scenes(results: Results, arrays: Arrays) -> list[Scene]:
    """List the landscapes that a reader can turn and walk through."""
    found: list[Scene] = []
    single, joint, trials = results.landscape, results.joint_landscape, results.trials_landscape
    if single is None:
        return found
    if arrays.surface is not None:
        found.append(Scene(f"Final model, {single.module}", single, arrays.surface))
    if joint is not None and arrays.joint is not None:
        title = f"Final model, {len(joint.runs)} seeds in one plane"
        found.append(Scene(title, joint, arrays.joint))
    if trials is not None and arrays.trials is not None:
        title = f"Search, the {len(trials.runs)} best trials of {trials.module} in one plane"
        found.append(Scene(title, trials, arrays.trials))
    return found


def _autoencoder(results: Results, arrays: Arrays) -> Iterator[Picture]:
    found = results.autoencoder
    if found is None:
        return
    data = results.data
    for drawn in autoencoder.drawings(found, arrays.images, data.shape, data.class_names):
        yield picture(*drawn)
