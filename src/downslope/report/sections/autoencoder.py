"""The autoencoder section: its figures with captions, as far as arrays allow, and its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from downslope.reconstruction import AutoencoderResult
from downslope.report.figures import autoencoder as coder
from downslope.report.figures import codes, errors
from downslope.report.images import arrange, is_picture
from downslope.report.tables import Row, Table
from downslope.report.wording import figure as number
from downslope.report.wording import percent, plural

Drawn = tuple[str, Figure, str, str]
"""Name, figure, what it shows for those who cannot see it, caption."""


def drawings(
    found: AutoencoderResult,
    images: dict[str, NDArray[Any]] | None,
    shape: Sequence[int],
    names: Sequence[str],
) -> Iterator[Drawn]:
    """Draw what an autoencoder stage left behind.

    Args:
        found: its figures.
        images: the arrays of `autoencoder/images.npz`, or None.
        shape: of one example.
        names: of the classes; empty for unlabelled examples.
    """
    yield (
        "autoencoder-training",
        coder.draw_training(found),
        f"Reconstruction error by epoch; test error {number(found.test_mse)}, "
        f"PCA {number(found.pca_test_mse)}.",
        f"Mean squared error: in training (seed {found.member.seed}), on the test examples "
        f"({_seeds_behind(found)}), and there of principal components of the same number.",
    )
    yield from _comparisons(found, names)
    if images is None or found.test_mse is None or not len(images["labels"]):
        return
    labelled = bool(names)
    names = names or ["unlabelled"]
    shown = coder.pictures(images, shape, names)
    yield (
        "autoencoder-pairs",
        coder.draw_pairs(shown),
        f"The first test examples above their reconstructions: {', '.join(shown.names[:2])}.",
        "The first two test examples above their reconstructions.",
    )
    if len(shown.names) > coder.PAIRS:
        yield (
            "autoencoder-grid",
            coder.draw_grid(shown),
            "Originals, the autoencoder's and PCA's reconstructions below.",
            f"The first test examples{' of each class' if labelled else ''}: original, "
            "autoencoder, PCA.",
        )
    yield from _pictures(found, images, shape, names)


def _seeds_behind(found: AutoencoderResult) -> str:
    completed = sum(error is not None for error in found.test_mses)
    return f"mean of {completed} seeds" if completed > 1 else "one seed"


def _comparisons(found: AutoencoderResult, names: Sequence[str]) -> Iterator[Drawn]:
    kinds = {rival.kind for rival in found.rivals}
    if "code size" in kinds:
        sizes = sorted([found.code_size, *(r.code_size for r in found.rivals)])
        yield (
            "autoencoder-sizes",
            errors.draw_code_sizes(found),
            f"Test error against code sizes from {sizes[0]} to {sizes[-1]}, autoencoders and PCA.",
            f"Test error against code size: this network (ringed; {_seeds_behind(found)}) with "
            "other codes, one training each, and PCA with as many components, which no linear code "
            "can beat on the examples it was fitted to.",
        )
    if "shape" in kinds:
        yield (
            "autoencoder-shapes",
            errors.draw_shapes(found),
            "Test error against parameters: "
            + "; ".join(
                f"{r.network} {number(r.test_mse)}" for r in found.rivals if r.kind == "shape"
            ),
            "What other hidden widths gain for their parameters: shallower, wider, deeper; one "
            f"training each; this run's own, in bold: {_seeds_behind(found)}.",
        )
    if names and any(error is not None for error in found.class_mses):
        yield (
            "autoencoder-classes",
            errors.draw_classes(found, names),
            "Test error of each class, of the autoencoder and of PCA.",
            "Test error by class of the first seed that completed, the hardest first.",
        )
    if found.probes:
        yield (
            "autoencoder-probes",
            codes.draw_probes(found.probes),
            "; ".join(f"{p.features}: {percent(p.accuracy)}" for p in found.probes),
            "How much of the classes a linear classifier (ridge) reads from the codes, from as "
            "many principal components, and from the inputs.",
        )


def _pictures(
    found: AutoencoderResult,
    images: dict[str, NDArray[Any]],
    shape: Sequence[int],
    names: Sequence[str],
) -> Iterator[Drawn]:
    """Draw what needs arrays that a run of an earlier version has not."""

    def of(name: str) -> NDArray[np.float64]:
        return arrange(images[name], shape)

    coloured = len(shape) == 3 and is_picture(shape) and of("originals").ndim == 4

    if "noisy" in images:
        noise = found.noise
        yield (
            "autoencoder-denoising",
            coder.draw_denoising(of("originals"), of("noisy"), of("denoised")),
            "Test examples, with noise, and with the noise taken away.",
            f"Test examples, the same with noise ({noise.kind.replace('_', ' ')}, "
            f"{noise.amount:g}), and what the autoencoder makes of that.",
        )
    if "ranked" in images and images["ranked"].shape[1]:
        yield (
            "autoencoder-ranked",
            errors.draw_ranked(of("ranked"), of("ranked_reconstructions"), images["ranked_errors"]),
            "The best, the middle and the worst reconstructions of the test set, with errors.",
            "The best, the middle and the worst reconstructions of the test set, each under its "
            "original with its mean squared error.",
        )
    if "feature_mses" in images and is_picture(shape):
        yield (
            "autoencoder-pixels",
            errors.draw_features(of("feature_mses")),
            "Test error of each pixel, of the autoencoder and of PCA.",
            "Where in the picture the error is: mean over the test set"
            + (" and the colours." if coloured else "."),
        )
    if "map" in images and np.ptp(images["map"]) > 0:
        yield (
            "autoencoder-map",
            codes.draw_map(
                images["map"],
                images["map_labels"],
                images["map_pictured"],
                of("map_images"),
                names,
            ),
            f"Map of {len(images['map'])} codes by class, with images in their places.",
            f"The codes of {plural(len(images['map']), 'test example')} laid out by t-SNE, which "
            "keeps neighbours together; distances between far groups mean nothing. The classes "
            "were not used in training or layout.",
        )
    if "walks" in images and len(images["walks"]):
        yield (
            "autoencoder-walks",
            codes.draw_walks(of("walks"), of("walk_ends")),
            "Straight walks between the codes of two test examples, decoded.",
            "In a straight line from the code of one test example to that of another; the numbers "
            "are the share of the second.",
        )
    if "units" in images:
        yield (
            "autoencoder-units",
            codes.draw_units(of("units")),
            f"What each of {len(images['units'])} code units adds to the picture.",
            "What each code unit draws: the decoder's answer to the mean code with this unit at "
            "its 99th percentile, less its answer to the mean code."
            + (" Mid-grey is no change." if coloured else ""),
        )


def rival_table(coder: AutoencoderResult) -> Table:
    """List the autoencoders that were trained beside the one in question, with PCA's errors."""
    own = [
        coder.member.network.label,
        f"{coder.parameters:,}",
        str(coder.code_size),
        number(coder.test_mse),
        number(coder.pca_test_mse),
        _gain(coder.test_mse, coder.pca_test_mse),
    ]
    rows = [Row(own, mark="best")]
    rows += [
        Row(
            [
                r.network,
                f"{r.parameters:,}",
                str(r.code_size),
                number(r.test_mse) if r.test_mse is not None else r.outcome,
                number(r.pca_test_mse),
                _gain(r.test_mse, r.pca_test_mse),
            ]
        )
        for r in coder.rivals
    ]
    return Table(
        caption="Autoencoders of the same training, the one in question first (its error is the "
        "mean over seeds)",
        columns=[
            ("network", False),
            ("parameters", True),
            ("code size", True),
            ("test error", True),
            ("PCA", True),
            ("against PCA", True),
        ],
        rows=rows,
    )


def _gain(own: float | None, pca: float | None) -> str:
    return "–" if own is None or not pca else f"{100 * (own / pca - 1):+.1f} %".replace("-", "−")
