"""What others published for plain networks on Fashion-MNIST, to stand beside a run's accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from downslope.report.tables import Row, Table
from downslope.report.wording import percent
from downslope.results import Results

FASHION = "c86e615d8f0aa1d120dbdcca957e44a25342249a4dbbbb7fde7ed3ce1c060f29"
"""SHA-256 of Fashion-MNIST's content, whatever files it came in."""


@dataclass(frozen=True, slots=True)
class Published:
    """Hold a published accuracy.

    Args:
        network: as its source describes it.
        accuracy: on the test set, of a single training unless the source says otherwise.
        source: where it was read.
    """

    network: str
    accuracy: float
    source: str

    @property
    def digits(self) -> int:
        """Return how many decimals of the percentage were published."""
        return 1 if round(self.accuracy, 3) == self.accuracy else 2


_PAPER = "Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747, table 3; mean of 5 trainings"
_BENCHMARK = "Fashion-MNIST's benchmark table, github.com/zalandoresearch/fashion-mnist; submitted "

PUBLISHED = (
    Published("256-128-64", 0.900, _BENCHMARK + "by lianghong, not verified there"),
    Published(
        "256-128, batch norm, dropout 0.2",
        0.8929,
        "github.com/Oren1984/module2-deep-learning-nlp, report of 01_classic_dl_mlp",
    ),
    Published(
        "best of 15 with batch norm, dropout and other activations",
        0.8868,
        "published solution of CS/DS 541, homework 3: best variant",
    ),
    Published("256-128-100", 0.8833, _BENCHMARK + "by heitorrapela, not verified there"),
    Published("3×40, relu", 0.8771, "published solution of CS/DS 541, homework 3: best of 50"),
    Published("100, relu, scikit-learn", 0.871, _PAPER),
    Published("100-10, relu, scikit-learn", 0.870, _PAPER),
    Published("100, tanh, scikit-learn", 0.868, _PAPER),
    Published("3×48, relu, adam, L2", 0.8736, "github.com/abhishekshaw21/MNIST-Fashion, README"),
)


def published_table(results: Results) -> Table | None:
    """List a run's accuracies among published ones; None for other data, or without an accuracy."""
    if results.data.sha256 != FASHION:
        return None
    rows = [(one.accuracy, Row([one.network, percent(one.accuracy, one.digits), "–", one.source]))
            for one in PUBLISHED]  # fmt: skip
    variant = None if results.variants is None else results.variants.refit
    own = 0
    for name, refit in (("final model", results.refit), ("best variant", variant)):
        if refit is None or refit.test_accuracy is None:
            continue
        own += 1
        accuracy = refit.test_accuracy
        low, high = accuracy.interval
        cells = [
            f"{refit.member.network.label}, {name} of this run",
            percent(accuracy.mean),
            f"{percent(low)} to {percent(high)}",
            f"this run, mean of {len(accuracy.per_seed)}",
        ]
        rows.append((accuracy.mean, Row(cells, mark="best")))
    if not own:
        return None
    rows.sort(key=lambda row: -row[0])
    return Table(
        caption="Test accuracy beside published figures of fully connected networks on "
        "Fashion-MNIST. They are of one training each unless said, and give no interval; from "
        f"{results.test_set.examples:,} test examples alone it would be about ±0.6 points",
        columns=[
            ("network", False),
            ("test accuracy", True),
            ("95 % interval", True),
            ("source", False),
        ],
        rows=[row for _, row in rows],
    )
