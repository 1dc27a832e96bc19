"""How near the listings come to a run's own numbers: to the bit, to rounding, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.results import Results

CONFIGURED = (
    "optimizer", "learning_rate", "schedule", "batch_size", "epochs", "weight_decay", "decay_on",
)  # fmt: skip
"""Of a training, what the listings take as their configuration."""
CODER = (784, 128, 64, 128, 784)
"""The shape of the listed autoencoder."""
_VARIED = ("activation", "normalization", "dropout")


def agreement(results: Results, engine: str) -> Iterator[str]:
    """Say in sentences how the listings' numbers compare with those of a run.

    Args:
        results: of the run.
        engine: that trained it, as its manifest says.
    """
    code = "Executed with the run's settings and seed, as in the notebook, the code below"
    if engine == "pytorch":
        yield f"{code} gives the run's weights bit for bit."
    else:
        yield (
            f"The run was trained by a compiled engine. {code} follows the same random numbers "
            "and agrees with it to float32 rounding, which training amplifies from step to step."
        )
    variant = results.variants and results.variants.refit
    if variant and variant.member.network.dropout and engine != "pytorch":
        yield (
            "The variant's dropout draws other masks there, so that its numbers differ as those "
            "of two seeds do."
        )
    if results.data.shape != [28, 28]:
        yield "It reads images of 28 by 28 pixels from 0 to 255; the data of this run are others."
    for part, names in _unlisted(results):
        if names:
            yield f"The {part} also has {', '.join(names)}, which the code leaves out."


def _unlisted(results: Results) -> Iterator[tuple[str, list[str]]]:
    """Yield by part of a run the settings that no listing has."""
    if results.refit is not None:
        yield "final training", _beyond(results.refit.member)
    if results.variants is not None and results.variants.refit is not None:
        yield "variant", _beyond(results.variants.refit.member, _VARIED)
    coder = results.autoencoder
    if coder is not None:
        names = _beyond(coder.member, ("output", "loss"), ("pytorch", "orthogonal"))
        if coder.member.network.widths != CODER:
            names.insert(0, f"the shape {coder.member.network.label}")
        more = {"noise": coder.noise.amount, "a penalty on codes": coder.sparsity}
        yield "autoencoder", [*names, *(name for name, value in more.items() if value)]


def _beyond(
    member: Member, listed: Collection[str] = (), starts: Collection[str] = ("pytorch",)
) -> list[str]:
    """Name the settings of a member in which it differs from what the listings build and train."""
    network = NetworkSpec(widths=member.network.widths)
    training = msgspec.structs.replace(
        TrainingSpec(), **{name: getattr(member.training, name) for name in CONFIGURED}
    )
    names: list[str] = []
    for own, plain in ((member.network, network), (member.training, training)):
        for name, value in msgspec.structs.asdict(own).items():
            if name in {*listed, "evaluation_draw", "initialization"}:
                continue
            if value != getattr(plain, name):
                names.append(f"{name.replace('_', ' ')} {value}")
    if member.network.initialization not in starts:
        names.append(f"initialization {member.network.initialization}")
    if member.training.schedule == "cosine":
        names.append("a cosine schedule")
    if len(set(member.network.widths[1:-1])) > 1 and "output" not in listed:
        names.append("hidden layers of different widths")
    return names
