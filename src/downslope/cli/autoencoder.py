"""Commands that use a trained autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from downslope.cli.options import place, warnings_in_a_line
from downslope.errors import InputError
from downslope.files import check_writable
from downslope.terminal import say

CoderArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run with an autoencoder, or its .safetensors.")
]
ExamplesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="One .npy of examples, or grey images.")
]


def encode(
    coder: CoderArgument,
    files: ExamplesArgument,
    out: Annotated[Path, place("FILE", "A .npy for the codes.")],
) -> None:
    """Turn arrays or images into the codes of a trained autoencoder."""
    from downslope.autoencoders import open_autoencoder, read_examples, write_array

    _check_out(out, ".npy")
    autoencoder = open_autoencoder(coder)
    with warnings_in_a_line():
        codes = autoencoder.encode(read_examples(files, autoencoder))
    write_array(out, codes)
    say(f"{len(codes)} codes of {autoencoder.code_size}: {out}")


def decode(
    coder: CoderArgument,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="A .npy of codes.")],
    out: Annotated[Path, place("FILE", "A .npy or a .png sheet.")],
) -> None:
    """Turn codes into what a trained autoencoder makes of them."""
    from downslope.autoencoders import open_autoencoder, read_array, write_array, write_sheet
    from downslope.report.formats import plural

    _check_out(out, ".npy", ".png")
    autoencoder = open_autoencoder(coder)
    decoded = autoencoder.decode(read_array(codes))
    if out.suffix.lower() == ".png":
        write_sheet(out, [decoded], autoencoder)
    else:
        write_array(out, decoded)
    say(f"{plural(len(decoded), 'example')}: {out}")


def reconstruct(
    coder: CoderArgument,
    files: ExamplesArgument,
    out: Annotated[Path, place("FILE", "A .npy, or a .png with originals above reconstructions.")],
) -> None:
    """Send arrays or images through a trained autoencoder and back."""
    from downslope.autoencoders import open_autoencoder, read_examples, write_array, write_sheet
    from downslope.report.formats import plural

    _check_out(out, ".npy", ".png")
    autoencoder = open_autoencoder(coder)
    raw = read_examples(files, autoencoder)
    with warnings_in_a_line():
        decoded = autoencoder.reconstruct(raw)
        error = autoencoder.error(raw).mean()
    if out.suffix.lower() == ".png":
        write_sheet(out, [raw, decoded], autoencoder)
    else:
        write_array(out, decoded)
    say(f"{plural(len(decoded), 'example')}, mean squared error {error:.5f}: {out}")


def _check_out(out: Path, *allowed: str) -> None:
    if out.suffix.lower() not in allowed:
        raise InputError(f"--out {out}: its name must end in {' or '.join(allowed)}")
    check_writable(out)
