"""The same bits on AVX2, AVX-512 and NEON: weights of fixed members, from fixed numbers.

`make neon` compares the same lines on an emulated ARM processor.
"""

from pathlib import Path

import numpy as np
import pytest

from downslope import Member, NetworkSpec, TrainingSpec
from downslope.engines import instruction_sets
from downslope.engines.native import make_trainer

# The baseline of x86-64 has no fused multiply-add: its sums are rounded twice.
ISAS = [isa for isa in instruction_sets() if isa != "baseline"]
LINES = (Path(__file__).parents[2] / "native/digests.txt").read_text().splitlines()[1:]
ROWS = 150


def numbers(count: int, first: int) -> np.ndarray:
    """Return digest.cpp's fixed numbers from -0.5 to 0.5, exact in float32."""
    i = np.arange(first, first + count, dtype=np.uint32)
    return ((i * np.uint32(2654435761)) >> 16).astype(np.float32) / 65536 - np.float32(0.5)


def fnv(values: np.ndarray) -> str:
    """Return FNV-1a, by words, of the bits of float32 values."""
    digest = 14695981039346656037
    for word in values.view(np.uint32).tolist():
        digest = (digest ^ word) * 1099511628211 % 2**64
    return f"{digest:016x}"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("line", LINES)
def test_weights_are_the_same_bits(isa: str, line: str) -> None:
    *spec, norm, dropout, clip, scale, digest = line.split()
    shape, activation, loss, optimizer, batch, momentum, decay = spec
    widths = tuple(map(int, shape.split("-")))
    member = Member(
        network=NetworkSpec(
            widths=widths,
            activation=activation,
            normalization="batch" if norm == "1" else "none",
            dropout=float(dropout),
            output="sigmoid" if loss == "mean_squared_error" else "logits",
        ),
        training=TrainingSpec(
            loss=loss,
            optimizer=optimizer,
            batch_size=int(batch),
            momentum=float(momentum),
            weight_decay=float(decay),
            clip_norm=float(clip),
        ),
        seed=3,
    )
    trainer = make_trainer(member, isa)
    trainer.parameters = numbers(len(trainer.parameters), 0) / 2 * np.float32(scale)
    inputs = numbers(ROWS * widths[0], 7).reshape(ROWS, widths[0])
    targets = (numbers(ROWS * widths[-1], 11) + np.float32(0.5)).reshape(ROWS, widths[-1])
    classes = np.arange(ROWS) % widths[-1]
    steps = -(-ROWS // member.training.batch_size)
    for _ in range(3):
        trainer.train(
            inputs,
            classes if loss == "cross_entropy" else targets,
            np.arange(ROWS) * 7 % ROWS,
            np.full(steps, 1 / 64),
        )
    assert fnv(trainer.parameters) == digest
