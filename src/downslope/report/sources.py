"""Where each number of the page comes from: a file of the run, and how it was computed."""

from __future__ import annotations

from dataclasses import dataclass

from downslope.report.tables import Row, Table
from downslope.results import Results

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Source:
    """Hold one source.

    Args:
        number: of its footnote.
        place: the file of the run, and the key within it.
        how: the number was computed.
    """

    number: int
    place: str
    how: str


# The part before the first hyphen is the section; a name without one serves all of its section
# that has none of its own. Figures have the names of their files.
_SOURCES: dict[str, tuple[str, str]] = {
    "data": ("data", "counted when the data were read; SHA-256 of the decompressed content"),
    "seal": ("test_set", "one entry for each opening of the sealed test set"),
    "seconds": ("seconds", "wall time of each finished stage"),
    "theory": ("theory", "derivation checked symbolically, by quadrature and by enumeration"),
    "theory-checks": (
        "theory.checks",
        "means over networks of each initialization; intervals over networks that hold together "
        "with 99 %",
    ),
    "theory-forward": ("theory.layers", "mean over networks; 95 % bootstrap interval over them"),
    "theory-backward": ("theory.layers", "mean over networks; 95 % bootstrap interval over them"),
    "theory-spread": ("theory.spreads", "quantiles over He networks, for one input"),
    "theory-trainability": (
        "theory.trainability",
        "validation accuracy after training, the learning rate with the lower training loss",
    ),
    "theory-gains": ("theory.gains and theory.edges", "quadrature, with a bound on its error"),
    "theory-mutations": ("theory.mutations", "wrong formulas given to the check of their step"),
    "search": (
        "search.trials",
        "accuracy and cross-entropy on the validation examples after the last epoch; also in "
        "search/trials.sqlite",
    ),
    "search-curves": ("search.trials.curve", "on the validation examples after each epoch"),
    "search-choice": (
        "search.choice",
        "the same settings trained again with new seeds; 95 % t interval of the mean",
    ),
    "search-importances": ("search.importances", "functional ANOVA over the trials (fANOVA)"),
    "search-cost": (
        "search.trials.seconds",
        "core time by outcome; in full: each trial's seconds per epoch times its planned epochs",
    ),
    "refit": (
        "refit",
        "mean over seeds of the share of test examples that are right; 95 % Wilson interval for "
        "the sampling of examples; 95 % t interval over seeds",
    ),
    "refit-loss": ("refit.epochs", "mean cross-entropy over each epoch's minibatches, by seed"),
    "refit-accuracy": ("refit.epochs.test_accuracy", "mean over seeds"),
    "refit-minibatches": ("refit.last_minibatches", "cross-entropy of single minibatches"),
    "refit-confusion": ("refit.confusion", "test examples counted, of the first completed seed"),
    "refit-classes": (
        "refit.confusion",
        "95 % Wilson intervals of precision, recall and, through J = F1 / (2 - F1), of F1",
    ),
    "refit-calibration": (
        "refit/predictions.npz: predictions, confidences, truth",
        "15 bins of equal width; expected calibration error as in Guo et al. (2017), its 95 % "
        "interval from an inverted test with 1,000 bootstrap draws of the test examples",
    ),
    "refit-mistakes": (
        "refit/predictions.npz: mistakes, mistake_inputs",
        "wrong answers of the first completed seed, by the probability it gave them",
    ),
    "refit-published": ("refit.test_accuracy", "beside the publications named in the table"),
    "variants": (
        "variants",
        "as for the search and the final model; the files lie in variants/",
    ),
    "variants-comparison": (
        "variants.comparison",
        "interval of the difference over seeds and test examples together, from both "
        "predictions.npz (docs/statistics.md); McNemar's test of the first seeds",
    ),
    "landscape": (
        "landscape",
        "loss on training examples at the snapshots of refit/trajectory.npz and at their "
        "projections; surface in landscape/surface.npz",
    ),
    "landscape-nulls": ("landscape.nulls", "random walks with this training's step lengths"),
    "landscape-curvature": (
        "landscape.curvature",
        "Lanczos iterations on Hessian-vector products; trace by Hutchinson's estimate",
    ),
    "landscape-joint": ("joint_landscape", "snapshots of refit/seeds.npz; landscape/joint.npz"),
    "landscape-trials": ("trials_landscape", "the best trials again; landscape/trials.npz"),
    "autoencoder": (
        "autoencoder",
        "mean squared error per value, over the test set; principal components fitted to the "
        "same training examples",
    ),
    "autoencoder-rivals": ("autoencoder.rivals", "one training each, errors on the test set"),
    "provenance": ("manifest.json", "written with the results"),
}

_FILES = {"refit-calibration", "refit-mistakes", "provenance"}
_ALIKE = {
    "search-slices": "search",
    "search-parallel": "search",
    "search-map": "search",
    "search-history": "search",
    "search-settings": "search",
    "autoencoder-sizes": "autoencoder-rivals",
    "autoencoder-shapes": "autoencoder-rivals",
    "variants-test": "variants-comparison",
}


def _held(results: Results, name: str) -> bool:
    """Tell whether a run has what a source is of."""
    search = results.search
    parts = {
        "search-choice": search and search.choice,
        "search-importances": search and search.importances,
        "landscape-joint": results.joint_landscape,
        "landscape-trials": results.trials_landscape,
        "refit-calibration": results.refit and results.refit.test_accuracy,
        "refit-mistakes": results.refit and results.refit.test_accuracy,
    }
    if name in parts:
        return bool(parts[name])
    return getattr(results, name.partition("-")[0], True) is not None


class Sources:
    """Number the sources of the stages that a run holds.

    Args:
        results: of the run.
    """

    def __init__(self, results: Results) -> None:
        there = {
            name: (place if name in _FILES else f"{RESULTS}: {place}", how)
            for name, (place, how) in _SOURCES.items()
            if _held(results, name)
        }
        self.named = {
            name: Source(i + 1, place, how) for i, (name, (place, how)) in enumerate(there.items())
        }

    def table(self) -> Table:
        """List all sources."""
        return Table(
            caption="Sources by part of the report",
            columns=[("part", False), ("file of the run, and key", False), ("how", False)],
            rows=[
                Row([name.replace("-", ", "), source.place, source.how])
                for name, source in self.named.items()
            ],
        )

    def name(self, of: str) -> str:
        """Name the source of a figure or another part of the page.

        >>> from downslope.report.sources import _ALIKE, _SOURCES
        >>> all(name in _SOURCES for name in _ALIKE.values())
        True
        """
        for name in (of, _ALIKE.get(of, ""), of.partition("-")[0]):
            if name in self.named:
                return name
        return "provenance"
