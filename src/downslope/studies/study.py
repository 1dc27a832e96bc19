"""What a study is: settings, parts that are computed one after the other, and one analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from downslope.checked import Checked, Seed
from downslope.data import Dataset
from downslope.progress import Steps
from downslope.report.display import Display
from downslope.statistics import Effect

Arrays = dict[str, NDArray[Any]]


class Part(NamedTuple):
    """A part of a study's computation: what is kept and not done again.

    Args:
        name: of its file.
        cost: expected work, in units that all parts of a study share.
        compute: yields progress and returns what is kept.
    """

    name: str
    cost: float
    compute: Callable[[], Steps[Arrays]]


class Analysis(NamedTuple):
    """What the parts of a study say.

    Args:
        effects: that the claim consists of.
        displays: the figures, the one that shows the claim first.
        notes: sentences on how this differs from the paper, and what was measured beside.
    """

    effects: Sequence[Effect]
    displays: Sequence[Display]
    notes: Sequence[str]


class Study(Checked, frozen=True, kw_only=True):
    """A phenomenon that only populations show, and the paper that claims it.

    A subclass has its settings as fields, so that they are checked and documented like a recipe's.

    Args:
        seed: of the first network; the others count up.
        seeds: behind every interval.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    claim: ClassVar[str]
    core_minutes: ClassVar[float]
    """Of processor time at the settings' defaults, as measured."""

    seed: Seed = 541
    seeds: Annotated[int, Meta(ge=3, le=1000)] = 20

    def dataset(self) -> Dataset | None:
        """Load the data; None where the study draws its own."""
        return None

    def parts(self, dataset: Dataset | None, threads: int | None) -> Sequence[Part]:
        """List what is to be computed, in order."""
        raise NotImplementedError

    def analyse(self, parts: Mapping[str, Arrays]) -> Analysis:
        """Judge the claim by what the parts left, by their names."""
        raise NotImplementedError

    def random(self, *stream: int) -> np.random.Generator:
        """Return a stream of random numbers of the study's seed."""
        return np.random.default_rng([self.seed, *stream])
