"""The results of a run: the structure of results.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from downslope.autoencoders import AutoencoderResult
from downslope.data import NumberMethod, Opening, Task
from downslope.landscape import LandscapeResult
from downslope.networks import Member
from downslope.recipe import Recipe
from downslope.search import RefitResult, SearchResult
from downslope.showing import Shown
from downslope.statistics import Comparison
from downslope.theory import TheoryResult

SCHEMA = "downslope.results/2"

OLD_SCHEMA = "downslope.results/1"
RENAMED = {
    "optimism": "selection_bias",
    "optimism_interval": "selection_bias_interval",
    "rivals": "ablations",
    "statistics": "batch_norm",
}
"""Keys of files of the old schema, wherever they stand, and their names today."""

MOST_TRIALS = 2**31


class DataResult(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The data of a run.

    Args:
        name: as asked for.
        source: where the bytes came from.
        sha256: digest of the decompressed content.
        shape: of one example.
        class_names: one per class.
        training: examples to train on in the search.
        validation: examples to choose on.
        test: examples of the sealed test set.
        class_counts: of the training and validation examples together.
        scaling: what was done to the inputs of the classifier, in words.
        notes: what was taken for what where the content of the files decided it.
        task: classes, or numbers to predict.
        target: name of the label column.
        target_spread: deviation of the numbers to predict in the training rows; losses are of
            numbers divided by it. 1 for classes.
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
    task: Task = "classification"
    target: str = ""
    target_spread: float = 1.0


class VariantsResult(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The search over variants, the final training of its best and how it compares.

    Args:
        search: all variant trials.
        refit: of the best variant; None where no trial completed.
        comparison: of the variant's test accuracies with the plain winner's, over seeds.
    """

    search: SearchResult
    refit: RefitResult | None
    comparison: Comparison | None


class SealResult(msgspec.Struct, frozen=True, kw_only=True):
    """The openings of the sealed test set, over all processes of the run."""

    examples: int
    openings: list[Opening]


class Results(Shown, msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All results of a run; `results.json` is this structure.

    A stage that has not finished is None and has no entry in `seconds`; an interrupted search
    keeps the trials that did finish. `joint_landscape` shows the refit's seeds in one plane,
    `trials_landscape` the best trials of the search.
    """

    schema: Literal["downslope.results/2"] = SCHEMA
    recipe: Recipe
    data: DataResult
    search: SearchResult | None = None
    refit: RefitResult | None = None
    variants: VariantsResult | None = None
    landscape: LandscapeResult | None = None
    joint_landscape: LandscapeResult | None = None
    trials_landscape: LandscapeResult | None = None
    autoencoder: AutoencoderResult | None = None
    theory: TheoryResult | None = None
    test_set: SealResult
    seconds: dict[str, float] = msgspec.field(default_factory=dict[str, float])

    def facts(self) -> Mapping[str, object]:
        """Return what was run on which data, how good it is, and how often the seal was opened."""
        refit = self.refit and self.refit.facts()
        return {
            "recipe": self.recipe.title,
            "data": self.data.name,
            "stages": ", ".join(self.seconds) or "none has finished",
            "seconds": sum(self.seconds.values()),
            "trials": self.search and len(self.search.trials),
            "network": refit and refit["network"],
            "test accuracy": refit and refit["test accuracy"],
            "test error": refit and refit["test error"],
            "test set": f"{self.test_set.examples:,} examples, opened "
            f"{len(self.test_set.openings)} times",
        }

    def __post_init__(self) -> None:
        """Refuse parts that cannot be of one run, as in a file that was edited.

        Raises:
            ValueError: naming the field, what it holds and what it must agree with.
        """
        for fault in _disagreements(self):
            raise ValueError(fault)


def decode(content: bytes) -> Results:
    """Read the content of a results.json, of this schema or the one before.

    Raises:
        msgspec.DecodeError: it is no JSON, or of another structure.
    """
    value = msgspec.json.decode(content)
    if isinstance(value, dict) and value.get("schema") == OLD_SCHEMA:
        value = {**_renamed(value), "schema": SCHEMA}
    return msgspec.convert(value, Results, str_keys=True)


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("statistics") == "kept":  # of batch norm
            value = {**value, "statistics": "frozen"}
        return {RENAMED.get(key, key): _renamed(inner) for key, inner in value.items()}
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value


def _disagreements(results: Results) -> Iterator[str]:
    """Yield what does not hold together; whoever draws relies on that it does."""
    data, refit, variants = results.data, results.refit, results.variants
    features = math.prod(data.shape)
    if min(data.shape, default=0) < 1:
        yield f"data.shape = {data.shape}: each must be at least 1"
    for name in ("training", "validation", "test"):
        if getattr(data, name) < 0:
            yield f"data.{name} = {getattr(data, name)}: must not be below 0"
    if min(data.class_counts, default=0) < 0:
        yield f"data.class_counts has {min(data.class_counts)}: must not be below 0"
    inputs: dict[str | None, int] = {None: features}
    for place, member, encoding in _members(results):
        if place == "autoencoder.member" and len(data.shape) == 1:  # it encodes a table itself
            continue
        width = member.network.widths[0]
        known = inputs.setdefault(encoding if len(data.shape) == 1 else None, width)
        if width != known:
            what = f"data.shape = {data.shape} has {features} values"
            if encoding is not None:
                what = f"other networks of {encoding} encoding have {known} inputs"
            yield f"{what}, but {place} has {width} inputs; they must agree"
    searches = {"search": results.search, "variants.search": variants and variants.search}
    for place, search in searches.items():
        if search is not None:
            yield from _search_disagreements(place, search)
    for place, one in (("refit", refit), ("variants.refit", variants and variants.refit)):
        if one is not None:
            yield from _refit_disagreements(place, one, len(data.class_names))
    for place in ("landscape", "joint_landscape", "trials_landscape"):
        drawn = getattr(results, place)
        if drawn is not None and not (drawn.runs and all(run.path for run in drawn.runs)):
            yield f"{place}.runs: must be at least one, each with a path"


def _members(results: Results) -> Iterator[tuple[str, Member, NumberMethod | None]]:
    """Yield where each member stands, it, and the encoding that its settings name."""
    if results.search is not None:
        for i, trial in enumerate(results.search.trials):
            yield f"search.trials[{i}]", trial.member, trial.settings.encoding
    if results.refit is not None:
        yield "refit.member", results.refit.member, results.refit.encoding
    if results.variants is not None and (refit := results.variants.refit) is not None:
        yield "variants.refit.member", refit.member, refit.encoding
    if results.autoencoder is not None:
        yield "autoencoder.member", results.autoencoder.member, None


def _search_disagreements(place: str, search: SearchResult) -> Iterator[str]:
    ids = [trial.id for trial in search.trials]
    if len(set(ids)) < len(ids) or not all(0 <= one < MOST_TRIALS for one in ids):
        yield f"{place}.trials: each id must be there once, from 0 and below {MOST_TRIALS:,}"
    if search.best is not None and search.best.id not in ids:
        yield f"{place}.best.id = {search.best.id}: no such trial"
    if search.choice is not None:
        candidates = [candidate.trial for candidate in search.choice.candidates]
        if not candidates:
            yield f"{place}.choice.candidates: must be at least one"
        for one in candidates:
            if one not in ids:
                yield f"{place}.choice.candidates has trial {one}: no such trial"
        if search.choice.chosen is not None and search.choice.chosen not in candidates:
            yield f"{place}.choice.chosen = {search.choice.chosen}: no such candidate"


def _refit_disagreements(place: str, refit: RefitResult, classes: int) -> Iterator[str]:
    if not refit.epochs:
        yield f"{place}.epochs: must be at least one"
    if any(len(epoch.train_loss_per_seed) != len(refit.seeds) for epoch in refit.epochs):
        yield f"{place}.epochs: train_loss_per_seed must have one loss for each of the seeds"
    accuracy = refit.test_accuracy
    if accuracy is not None and not 1 <= len(accuracy.per_seed) <= len(refit.seeds):
        yield f"{place}.test_accuracy.per_seed must have one accuracy for each completed seed"
    counts = refit.confusion
    if counts and {len(counts), *map(len, counts)} != {classes}:
        yield f"{place}.confusion: must have {classes} rows and columns, one for each class"
    if any(count < 0 for row in counts for count in row):
        yield f"{place}.confusion: counts must not be below 0"
