"""The whole comparison: autoencoders beside the best linear ones, in numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from downslope.autoencoders.autoencoder import Autoencoder, code_layer, squared_errors
from downslope.autoencoders.codes import (
    errors_by_class,
    farthest_points,
    interpolate,
    map_codes,
    ranked_examples,
    shown_examples,
    unit_pictures,
)
from downslope.autoencoders.corruption import Corruption
from downslope.autoencoders.linear import LinearCodes, ProbeResult, probe
from downslope.autoencoders.training import PLAIN, train_autoencoders
from downslope.data import Examples, Range, Scaling, SealedTestSet
from downslope.engines import EpochRecord, MakeRunner, evaluate, local_runner
from downslope.errors import InputError
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.showing import Shown

RANKED = 8
MAPPED = 1500
MAP_PICTURES = 60
WALKS = 4

OPENING = "autoencoder: errors beside PCA, pictures of codes, linear probe"


class AutoencoderEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """The mean squared training error of one epoch of the first seed; None if not finite."""

    epoch: int
    train_loss: float | None


class Ablation(msgspec.Struct, frozen=True, kw_only=True):
    """An autoencoder trained likewise with another code size or shape, beside PCA of its code size.

    Args:
        kind: "code size" or "shape": what was changed.
        network: its widths, as in 784-128-64-128-784.
        parameters: how many it has.
        code_size: the width of its narrowest hidden layer.
        outcome: "completed", "diverged" or "failed".
        test_mse: None unless completed.
        pca_test_mse: of as many principal components.
    """

    kind: str
    network: str
    parameters: int
    code_size: int
    outcome: str
    test_mse: float | None
    pca_test_mse: float


class AutoencoderResult(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """Trained autoencoders' figures. Errors are mean squared, per value in [0, 1].

    Args:
        member: what was trained, with the first seed.
        parameters: how many it has.
        code_size: the width of its narrowest hidden layer.
        epochs: the training of the first seed.
        outcome: "completed" if a seed did, else what became of the first.
        test_mse: on the sealed test set, mean over the completed seeds; None if there is none.
        pca_test_mse: of principal components of the same number, fitted to the same training
            examples and clipped to [0, 1].
        shown: test examples whose reconstructions are kept, two first, then a grid.
        seeds: of all its trainings.
        first_losses: training error of the first epoch by seed; None if not finite.
        last_losses: of the last epoch.
        test_mses: by seed; None unless completed.
        stopped: a line for each seed that diverged or failed.
        noise: on the inputs in training.
        sparsity: weight of the penalty on the codes.
        noisy_test_mse: of test inputs with that noise against the clean ones; None without noise.
        pca_noisy_test_mse: the same of PCA.
        ablations: other code sizes and shapes.
        class_mses: of the pictured seed, by class; None where the test set has no example.
        pca_class_mses: the same of PCA.
        active: mean share of an example's code units that are not zero.
        dead: code units that are zero for every test example.
        probes: accuracy of a linear classifier on codes, components and the inputs themselves.
    """

    member: Member
    parameters: int
    code_size: int
    epochs: list[AutoencoderEpoch]
    outcome: str
    test_mse: float | None
    pca_test_mse: float | None
    shown: list[int]
    seeds: list[int] = []
    first_losses: list[float | None] = []
    last_losses: list[float | None] = []
    test_mses: list[float | None] = []
    stopped: list[str] = []
    noise: Corruption = PLAIN
    sparsity: float = 0.0
    noisy_test_mse: float | None = None
    pca_noisy_test_mse: float | None = None
    ablations: list[Ablation] = []
    class_mses: list[float | None] = []
    pca_class_mses: list[float | None] = []
    active: float | None = None
    dead: int | None = None
    probes: list[ProbeResult] = []


@dataclass(frozen=True, slots=True)
class AutoencoderComparison:
    """The figures, the pictured autoencoder and the arrays that pictures are drawn from.

    Args:
        result: the figures.
        autoencoder: of the first seed that completed; None if none did.
        arrays: by name. `originals`, `reconstructions`, `pca_reconstructions` (shown, features) in
            [0, 1] and their `labels` are always there, the rest where a seed completed.
    """

    result: AutoencoderResult
    autoencoder: Autoencoder | None
    arrays: dict[str, NDArray[np.generic]] = field(repr=False)


def autoencode(
    member: Member,
    training: Examples,
    test: SealedTestSet,
    scaling: Scaling,
    *,
    shape: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    code_sizes: Sequence[int] = (),
    shapes: Sequence[Sequence[int]] = (),
    noise: Corruption = PLAIN,
    sparsity: float = 0.0,
    threads: int | None = None,
    make_runner: MakeRunner = local_runner,
) -> Steps[AutoencoderComparison]:
    """Train dense autoencoders as one population and compare them with PCA on the sealed test set.

    Nothing is chosen by the test set: everything that is trained is reported.

    Args:
        member: with as many outputs as inputs, a sigmoid output and mean squared error.
        training: examples with inputs scaled to [0, 1]; classes are used by the probe alone.
        test: sealed; opened once.
        scaling: of the training inputs, for the test inputs.
        shape: of one example, by default flat.
        seeds: trainings of the member, by default its own seed.
        code_sizes: the same with other widths of the code, for the error against the code size.
        shapes: hidden widths of other autoencoders, for the error against parameters.
        noise: on the training inputs; targets stay clean.
        sparsity: weight of the mean absolute code, added to the error in training.
        threads: members trained at the same time.
        make_runner: makes what trains, here or on a cluster.

    Raises:
        InputError: a member that is no autoencoder, inputs outside of [0, 1], or no seeds or a
            seed twice.
    """
    size = member.network.widths[code_layer(member.network)]
    seeds = [member.seed] if seeds is None else list(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError(f"autoencoder: seeds = {seeds} must be at least one, each once")
    ablations = ablated(member, code_sizes, shapes)
    members = [msgspec.structs.replace(member, seed=seed) for seed in seeds]
    members += [ablation for _, ablation in ablations]
    inputs = np.asarray(training.inputs, np.float32)
    trained = train_autoencoders(
        members, inputs, noise=noise, sparsity=sparsity, threads=threads, make_runner=make_runner
    )
    costs = [m.expected_cost(len(training)) for m in members]
    total = sum(costs) * 1.1  # what follows the training takes about a tenth of its time
    done = 0.0
    yield Progress("autoencoder", 0, total)
    records: list[list[EpochRecord]] = [[] for _ in members]
    for record in trained:
        records[record.member].append(record)
        trainee = members[record.member]
        done += costs[record.member] / trainee.training.epochs
        note = f"{trainee.network.label}, training error {record.train_loss:.4f}"
        yield Progress("autoencoder", min(done, sum(costs)), total, note)
    sealed = scaling.apply(test.open(OPENING))
    originals = np.asarray(sealed.inputs, np.float32)
    labels = np.asarray(sealed.targets, np.int64)
    linear = LinearCodes.fit(inputs)
    shape = (inputs.shape[1],) if shape is None else tuple(shape)
    fitted = Range.of(scaling.undo(np.stack([inputs.min(axis=0), inputs.max(axis=0)])))
    coders = [
        Autoencoder(m.network, last.state, scaling, shape, fitted)
        if (last := r[-1]).outcome == "completed" and last.state is not None
        else None
        for m, r in zip(members, records, strict=True)
    ]
    # Weights may be finite and what they make of the test examples not.
    errors = [None if c is None else _finite(_test_error(c, originals)) for c in coders]

    def pca_error(size: int) -> float:
        return _error(originals, linear.reconstruct(originals, size))

    by_seed, test_mses = records[: len(seeds)], errors[: len(seeds)]
    completed = [error for error in test_mses if error is not None]
    result = AutoencoderResult(
        member=members[0],
        parameters=member.network.parameters,
        code_size=size,
        epochs=[
            AutoencoderEpoch(epoch=r.epoch, train_loss=_finite(r.train_loss)) for r in by_seed[0]
        ],
        outcome="completed" if completed else by_seed[0][-1].outcome or "failed",
        test_mse=float(np.mean(completed)) if completed else None,
        pca_test_mse=pca_error(size),
        # Of a single class, or unlabelled, as many as of ten.
        shown=shown_examples(labels, 2 if labels.max(initial=0) else 20).tolist(),
        seeds=seeds,
        first_losses=[_finite(r[0].train_loss) for r in by_seed],
        last_losses=[_finite(r[-1].train_loss) for r in by_seed],
        test_mses=test_mses,
        stopped=[
            f"seed {seed} {r[-1].outcome}: {r[-1].reason or 'its test error is not finite'}"
            for seed, r, error in zip(seeds, by_seed, test_mses, strict=True)
            if error is None
        ],
        noise=noise,
        sparsity=sparsity,
        ablations=[
            Ablation(
                kind=kind,
                network=ablation.network.label,
                parameters=ablation.network.parameters,
                code_size=(width := ablation.network.widths[code_layer(ablation.network)]),
                outcome=r[-1].outcome or "failed",
                test_mse=error,
                pca_test_mse=pca_error(width),
            )
            for (kind, ablation), r, error in zip(
                ablations, records[len(seeds) :], errors[len(seeds) :], strict=True
            )
        ],
    )
    shown = np.array(result.shown, np.int64)
    arrays: dict[str, NDArray[np.generic]] = {
        "originals": originals[shown],
        "reconstructions": np.zeros_like(originals[shown]),
        "pca_reconstructions": linear.reconstruct(originals[shown], size),
        "labels": labels[shown],
    }
    pictured = next((c for c, e in zip(coders, test_mses, strict=False) if e is not None), None)
    if pictured is not None:
        yield Progress("autoencoder", 1.02 * sum(costs), total, "what the codes hold")
        targets = training.targets
        classes = targets if targets.ndim == 1 and len(np.unique(targets)) > 1 else None
        result, pictures = _describe(result, pictured, linear, inputs, classes, originals, labels)
        arrays |= pictures
    yield Progress("autoencoder", total, total)
    return AutoencoderComparison(result, pictured, arrays)


def ablated(
    member: Member, code_sizes: Sequence[int], shapes: Sequence[Sequence[int]]
) -> list[tuple[str, Member]]:
    """Make the other members; one that is the member itself is left out."""
    widths, code = member.network.widths, code_layer(member.network)
    changes = [("code size", (*widths[:code], size, *widths[code + 1 :])) for size in code_sizes]
    changes += [("shape", (widths[0], *hidden, widths[-1])) for hidden in shapes]
    replace = msgspec.structs.replace
    return [
        (kind, replace(member, network=replace(member.network, widths=changed)))
        for kind, changed in changes
        if changed != widths
    ]


def _describe(
    result: AutoencoderResult,
    coder: Autoencoder,
    linear: LinearCodes,
    inputs: NDArray[np.float32],
    classes: NDArray[np.generic] | None,
    originals: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> tuple[AutoencoderResult, dict[str, NDArray[np.generic]]]:
    """Add what the pictured autoencoder's codes and errors are like, and collect its pictures."""
    size, seed, shown = result.code_size, result.member.seed, np.array(result.shown, np.int64)
    codes = coder.encode_scaled(originals)
    decoded = coder.decode_scaled(codes)
    squares = squared_errors(originals, decoded)
    pca_squares = squared_errors(originals, linear.reconstruct(originals, size))
    errors = squares.mean(axis=1)
    ranked = ranked_examples(errors, RANKED)
    places = map_codes(codes[:MAPPED], seed)
    pictured = farthest_points(places, min(MAP_PICTURES, max(2, len(places) // 12)))
    walks = _walks(labels)
    arrays: dict[str, NDArray[np.generic]] = {
        "reconstructions": decoded[shown],
        "ranked": originals[ranked],
        "ranked_reconstructions": decoded[ranked],
        "ranked_errors": errors[ranked],
        "feature_mses": np.stack([squares.mean(axis=0), pca_squares.mean(axis=0)]),
        "units": unit_pictures(coder, codes),
        "map": places,
        "map_labels": labels[:MAPPED],
        "map_pictured": pictured,
        "map_images": originals[pictured],
        "walks": np.stack([interpolate(coder, originals[a], originals[b]) for a, b in walks])
        if len(walks)
        else np.zeros((0, 9, originals.shape[1]), np.float32),
        "walk_ends": originals[walks],
    }
    noisy_mse = pca_noisy_mse = None
    if result.noise.amount > 0:
        noisy = result.noise.corrupt(originals, seed, 0)  # epochs draw from 1
        arrays["noisy"] = noisy[shown]
        arrays["denoised"] = coder.reconstruct_scaled(noisy[shown])
        noisy_mse = _test_error(coder, originals, noisy)
        pca_noisy_mse = _error(originals, linear.reconstruct(noisy, size))
    probes: list[ProbeResult] = []
    if classes is not None:
        targets = np.asarray(classes, np.int64)
        for name, features, test_features in (
            ("code", coder.encode_scaled(inputs), codes),
            ("components", linear.encode(inputs, size), linear.encode(originals, size)),
            ("inputs", inputs, originals),
        ):
            probes.append(probe(name, features, targets, test_features, labels))
    count = int(labels.max(initial=0)) + 1
    return msgspec.structs.replace(
        result,
        class_mses=errors_by_class(errors, labels, count),
        pca_class_mses=errors_by_class(pca_squares.mean(axis=1), labels, count),
        active=float((codes != 0).mean()),
        dead=int((codes == 0).all(axis=0).sum()),
        probes=probes,
        noisy_test_mse=noisy_mse,
        pca_noisy_test_mse=pca_noisy_mse,
    ), arrays


def _walks(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the ends of walks between codes, shape (walks, 2): the first examples of classes."""
    starts = [int(np.flatnonzero(labels == c)[0]) for c in np.unique(labels)]
    if len(starts) == 1:  # of one class, or unlabelled: the first examples
        starts = list(range(min(len(labels), 2 * WALKS)))
    pairs = list(zip(starts[::2], starts[1::2], strict=False))[:WALKS]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _test_error(
    coder: Autoencoder, originals: NDArray[np.float32], inputs: NDArray[np.float32] | None = None
) -> float:
    """Return the error of reconstructions, of the originals or of other inputs."""
    examples = Examples(originals if inputs is None else inputs, originals)
    return evaluate(coder.network, coder.state, examples, "mean_squared_error")[0]


def _error(originals: NDArray[np.float32], decoded: NDArray[np.float32]) -> float:
    return float(squared_errors(originals, decoded).mean())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
