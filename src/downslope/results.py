"""What a run found: the structure of results.json."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from downslope.data import Opening
from downslope.landscape import LandscapeResult
from downslope.reconstruction import AutoencoderResult
from downslope.search import (
    RefitResult,
    SearchResult,
)
from downslope.statistics import Comparison
from downslope.theory import TheoryResult

SCHEMA = "downslope.results/1"


class DataResult(msgspec.Struct, frozen=True, kw_only=True):
    """Describe the data of a run.

    Args:
        name: as asked for.
        source: where the bytes came from.
        sha256: digest of the decompressed content.
        shape: of one example.
        class_names: one per class.
        training: examples to train on in the search.
        validation: examples to choose on.
        test: examples behind the seal.
        class_counts: of the training and validation examples together.
        scaling: what was done to the inputs of the classifier, in words.
        notes: what was taken for what where the content of the files decided it.
    """

    name: str
    source: str
    sha256: str
    shape: list[int]
    class_names: list[str]
    training: int
    validation: int
    test: int
    class_counts: list[int]
    scaling: str
    notes: list[str] = []


class VariantsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the search over variants, the refit of its best and how it compares.

    Args:
        search: all variant trials.
        refit: of the best variant; None where no trial completed.
        comparison: of the variant's test accuracies with the plain winner's, over seeds.
    """

    search: SearchResult
    refit: RefitResult | None
    comparison: Comparison | None


class SealResult(msgspec.Struct, frozen=True, kw_only=True):
    """Count the openings of the sealed test set, over all processes of the run."""

    examples: int
    openings: list[Opening]


class Results(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Hold everything a run found; `results.json` is this structure.

    A stage that has not finished is None and has no entry in `seconds`; an interrupted search
    keeps the trials that did finish. `joint_landscape` shows the refit's seeds in one plane,
    `trials_landscape` the best trials of the search.
    """

    schema: Literal["downslope.results/1"] = SCHEMA
    recipe: dict[str, Any]
    data: DataResult
    theory: TheoryResult | None = None
    search: SearchResult | None = None
    refit: RefitResult | None = None
    variants: VariantsResult | None = None
    landscape: LandscapeResult | None = None
    joint_landscape: LandscapeResult | None = None
    trials_landscape: LandscapeResult | None = None
    autoencoder: AutoencoderResult | None = None
    test_set: SealResult
    seconds: dict[str, float] = msgspec.field(default_factory=dict[str, float])
