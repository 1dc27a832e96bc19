"""What a recipe may say: a TOML file that describes a whole run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from downslope.autoencoders import Corruption
from downslope.checked import NONE_TWICE, Checked, Count, Must, Seed, refused
from downslope.data import Kind, NumberMethod, Task
from downslope.errors import InputError
from downslope.landscape.settings import (
    BatchNorm,
    Components,
    CurvaturePoints,
    Margin,
    Points,
    Spacing,
    Tolerance,
)
from downslope.networks import Initialization, Member, NetworkSpec, TrainingSpec
from downslope.networks.specs import DecayOn, Factor, FactorOrZero, Loss, Optimizer, Schedule
from downslope.search import Halving, Range, Sampler, SamplerName, Settings, Space, propose
from downslope.search.settings import Value
from downslope.search.spaces import Values
from downslope.theory import TrainabilitySpec
from downslope.theory.settings import Depth, Repetitions, Width

MOST_TRIALS = 10_000
PROBED_TRIALS = 200
"""Trials proposed to see whether they can be trained."""

CHOICE_SEEDS = 3

Trials = Annotated[int, Meta(ge=1, le=MOST_TRIALS)]
Seeds = Trials | Annotated[list[Seed], Meta(min_length=1, max_length=MOST_TRIALS), NONE_TWICE]
"""How many, counted up from the recipe's seed, or which."""

Layer = Annotated[int, Meta(ge=1, le=2**16)]
Hidden = Annotated[tuple[Layer, ...], Meta(min_length=1)]
Side = Annotated[int, Meta(ge=1, le=1024)]
Sides = Annotated[list[Side], Meta(min_length=2, max_length=2)]
Finite = Annotated[float, Meta(ge=-1e6, le=1e6)]


LOSSES: dict[Task, Loss] = {
    "classification": "cross_entropy",
    "regression": "mean_squared_error",
}
"""What is minimized, by task."""


def seeds_from(seeds: int | list[int], first: int) -> list[int]:
    """List the seeds, counting from a first one where only their number is said.

    >>> seeds_from(3, 541), seeds_from([9, 2], 541)
    ([541, 542, 543], [9, 2])
    """
    return [first + i for i in range(seeds)] if isinstance(seeds, int) else seeds


class DataRecipe(Checked, frozen=True, kw_only=True):
    """Which data, and how they are split and encoded.

    Args:
        name: a set's name or a path.
        label: the label column of a table, where its name does not tell.
        columns: the only columns of a table to learn from, whatever they look like.
        drop: columns of a table to leave out.
        task: whether labels are classes or numbers to predict, where they do not tell.
        encoding: of the numbers in a table: mean 0 and deviation 1, by quantiles to a normal
            distribution, piecewise linear over bins, or none; see "Use your own data".
        size: height and width to which a folder of pictures is resized, or one number for both.
        kind: what arrays hold, where their content does not tell.
        validation: training examples to choose on instead, how many or which share of them.
        split_seed: of that split; the recipe's where it is left out.
        center: subtracted from scaled pixels; a table is encoded instead.
    """

    name: str = "fashion-mnist"
    label: str | None = None
    columns: list[str] = msgspec.field(default_factory=list[str])
    drop: list[str] = msgspec.field(default_factory=list[str])
    task: Task | None = None
    encoding: NumberMethod = "standard"
    size: Side | Sides | None = None
    kind: Kind | None = None
    validation: Count | Annotated[float, Meta(gt=0, lt=1)] = 0.2
    split_seed: Seed | None = None
    center: Finite = 0.5

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of `downslope.load`."""
        names = ("label", "columns", "drop", "task", "size", "kind")
        return {name: getattr(self, name) for name in names}


class TheoryRecipe(Checked, frozen=True, kw_only=True):
    """How the initialization theory is measured, and which deep networks are trained.

    Args:
        depth: hidden layers of the measured networks.
        width: their units per hidden layer.
        repetitions: independent initializations of each.
        examples: rows to measure on.
        trainability: the deep networks.
    """

    depth: Depth = 20
    width: Width = 256
    repetitions: Repetitions = 30
    examples: Count = 256
    trainability: TrainabilitySpec = TrainabilitySpec()


class ChoiceRecipe(Checked, frozen=True, kw_only=True):
    """How the best trials are compared once more before one is chosen.

    Args:
        top: how many are trained again; 1 believes the search's best.
        seeds: trainings of each.
        second: share of the validation examples that do not rank the trials, and on which the
            best are compared; 0 compares on those that ranked them.
        folds: in place of seeds, one training on the rest for each fold of all training examples.
    """

    top: Annotated[int, Meta(ge=1, le=100)] = 5
    seeds: Annotated[int, Meta(ge=1, le=100)] = CHOICE_SEEDS
    second: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    folds: Annotated[
        int, Must(lambda folds: folds == 0 or 2 <= folds <= 100, "0 or from 2 to 100")
    ] = 0

    def faults(self) -> Iterator[str]:
        """Yield what excludes each other, and what has no effect."""
        if self.folds and self.second:
            yield refused("folds", self.folds, f"0 where second = {self.second}")
        if self.seeds != CHOICE_SEEDS and (self.folds or self.top == 1):
            wins = f"folds = {self.folds}" if self.folds else "top = 1"
            yield (
                f"seeds = {self.seeds} has no effect, because {wins} trains none of them; "
                "leave seeds out"
            )
        if self.top == 1 and (self.second or self.folds):
            yield refused("top", self.top, "2 or more with second or folds")


class SearchRecipe(Checked, frozen=True, kw_only=True):
    """How many trials, how they are drawn, from which space, around which settings.

    Args:
        trials: how many.
        sampler: how they are drawn; see "Searching".
        settings: what every trial shares.
        space: by setting, what it may be.
        conditions: by varied setting, when it is varied.
        constraints: conditions that every trial meets.
        halving: how trials that do badly are stopped early.
        choice: how the best are compared.
        snapshots_per_epoch: of every trial, kept in its store as differences in float16.
    """

    trials: Trials = 10
    sampler: SamplerName = "random"
    settings: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    space: dict[str, Values] = msgspec.field(default_factory=dict[str, Values])
    conditions: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    constraints: list[str] = msgspec.field(default_factory=list[str])
    halving: Halving = Halving()
    choice: ChoiceRecipe = ChoiceRecipe()
    snapshots_per_epoch: Annotated[int, Meta(ge=0, le=10**6)] = 0

    def faults(self) -> Iterator[str]:
        """Yield what cannot be trained, and what the keys say without effect."""
        yield from _losses(self.settings, self.space)
        try:
            self.whole_space().check_combinations()  # two may each be allowed and not go together
        except InputError as error:
            yield str(error)
        yield from self._without_effect()

    def _without_effect(self) -> Iterator[str]:
        for name in self.settings:
            if name in self.space and name not in self.conditions:
                yield (
                    f"settings.{name} = {self.settings[name]!r} has no effect, because "
                    f"space.{name} varies it; leave one of the two out"
                )
        needs = [("hidden_layers", n) for n in ("units", "activation", "normalization", "dropout")]
        for other, name in [*needs, ("weight_decay", "decay_on")]:
            ordinary = getattr(Settings(), name)
            acts = any(self._possible(other)) or set(self._possible(name)) == {ordinary}
            if name in {**self.settings, **self.space} and not acts:
                yield (
                    f"{name} has no effect where {other} is always 0; leave {name} out or "
                    f"give another {other}"
                )
        halving = self.halving
        if halving.cohort and halving.method == "none" and self.sampler != "tpe":
            yield (
                f"halving: cohort = {halving.cohort} has no effect with method = 'none' and "
                f"sampler = {self.sampler!r}; leave it out, or set method = 'halving'"
            )

    def _possible(self, name: str) -> list[Any]:
        """List what a setting may be, the ends of a range for all of it."""
        values = self.space.get(name, [])
        ends = [values.low, values.high] if isinstance(values, Range) else list(values)
        fixed = self.settings.get(name, getattr(Settings(), name))
        return ends if ends and name not in self.conditions else [*ends, fixed]

    def whole_space(self, task: Task = "classification") -> Space:
        """Return the space with what surrounds it.

        Raises:
            InputError: see `Space`.
        """
        return Space(
            base=Settings(loss=LOSSES[task]).replace(self.settings),
            values=self.space,
            conditions=self.conditions,
            constraints=self.constraints,
        )

    def make_sampler(self, seed: int, task: Task = "classification") -> Sampler:
        """Make what proposes the trials.

        Raises:
            InputError: see `Space` and `Sampler`.
        """
        return Sampler(self.whole_space(task), self.sampler, seed)

    def proposals(
        self, seed: int, most: int | None = None, task: Task = "classification"
    ) -> list[Settings]:
        """Return the settings of all trials, or of the first ones, before any outcome is known.

        Raises:
            InputError: see `Space` and `propose`.
        """
        count = self.trials if most is None else min(most, self.trials)
        return propose(self.whole_space(task), self.sampler, seed, count)

    def check_proposals(self, seed: int) -> None:
        """Propose the first trials, to see before any work that they can be trained.

        Raises:
            InputError: one cannot, or none can be drawn.
        """
        for settings in self.proposals(seed, most=PROBED_TRIALS):
            settings.member(1, 2, seed=0)


def _losses(*tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a loss that is chosen: it follows from the task."""
    for table in tables:
        asked = table.get("loss", "cross_entropy")
        for loss in cast("list[Any]", asked) if isinstance(asked, list) else [asked]:
            if loss != "cross_entropy":
                yield refused("loss", loss, "left out; it follows from data.task")


class RefitRecipe(Checked, frozen=True, kw_only=True):
    """How the winner is trained again.

    Args:
        seeds: a list of seeds, or how many to count up from the recipe's.
        epochs: in place of the winner's own.
        settings: other settings in place of the winner's own.
        choice: all settings of the member to train, whatever the search finds.
        monitor_test: open the test set for its accuracy after each epoch.
    """

    seeds: Seeds = 3
    epochs: Count | None = None
    settings: dict[str, Value] = msgspec.field(default_factory=dict[str, Value])
    choice: dict[str, Value] | None = None
    monitor_test: bool = False

    def faults(self) -> Iterator[str]:
        """Yield what cannot be trained, and what has no effect."""
        chosen = self.choice or {}
        try:
            self.resolved(Settings()).member(1, 2, seed=0)
        except InputError as error:
            yield str(error)
        yield from _losses(self.settings, chosen)
        if self.epochs is not None and "epochs" in {**self.settings, **chosen}:
            inner = "settings" if "epochs" in self.settings else "choice"
            yield (
                f"{inner}.epochs has no effect, because epochs = {self.epochs} wins; "
                "leave one of the two out"
            )
        for name in self.settings:
            if name in chosen:
                yield (
                    f"choice.{name} has no effect, because settings.{name} = "
                    f"{self.settings[name]!r} wins; leave one of the two out"
                )

    def resolved(self, winner: Settings, task: Task = "classification") -> Settings:
        """Return the settings to train: the winner's, or the recipe's choice, with changes."""
        chosen = winner
        if self.choice is not None:
            chosen = Settings(loss=LOSSES[task]).replace(self.choice)
        changes = dict(self.settings)
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        return chosen.replace(changes)


class VariantsRecipe(SearchRecipe, frozen=True, kw_only=True):
    """Which variants are searched and how the best is trained again.

    Args:
        refit: of the best variant.
    """

    refit: RefitRecipe = RefitRecipe()


class LandscapeRecipe(Checked, frozen=True, kw_only=True):
    """Which grid is drawn over which examples, and how many snapshots there are of each epoch.

    Args:
        grid: columns and rows.
        margin: share of the path's extent added on each side.
        examples: training examples behind each loss.
        snapshots_per_epoch: of the refit's first seed.
        start: let the path begin with the initial parameters.
        components: which two principal components, counted from 1.
        origin: "mean" or "final": the plane lies through the snapshots' mean or the last one.
        spacing: of the grid, "linear" or "log".
        tolerance: compute points only where the surface bends and interpolate the others, to this
            share of a loss; 0 computes every point.
        batch_norm: its statistics, "recomputed" at every point or "frozen" as they were at the end.
        curvature: snapshots whose curvature is measured; 0 for none.
        seeds: draw the refit's seeds in a joint plane as well.
        trials: draw as many of the search's best in a joint plane, of those that have the best
            one's network; 0 for none.
    """

    grid: tuple[Points, Points] = (25, 25)
    margin: Margin = 0.2
    examples: Count = 2500
    snapshots_per_epoch: Annotated[int, Meta(ge=1, le=10**6)] = 4
    start: bool = True
    components: Components = (1, 2)
    origin: Literal["mean", "final"] = "mean"
    spacing: Spacing = "linear"
    tolerance: Tolerance = 0.0
    batch_norm: BatchNorm = "recomputed"
    curvature: CurvaturePoints = 6
    seeds: bool = True
    trials: Annotated[int, Meta(ge=0, le=50)] = 5


class AutoencoderTraining(Checked, frozen=True, kw_only=True):
    """How the autoencoder is trained; the fields mean what they mean in `TrainingSpec`."""

    optimizer: Optimizer = "adam"
    learning_rate: Factor = 4e-3
    schedule: Schedule = "one_cycle"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: FactorOrZero = 0.0
    decay_on: DecayOn = "weights"
    batch_size: Count = 32
    epochs: Count = 20

    def faults(self) -> Iterator[str]:
        """Yield what `TrainingSpec` refuses, and what has no effect."""
        try:
            self.spec()
        except InputError as error:
            yield str(error).removeprefix("TrainingSpec: ")
        if self.decay_on != "weights" and self.weight_decay == 0:
            yield f"decay_on = {self.decay_on!r} has no effect with weight_decay = 0"

    def spec(self) -> TrainingSpec:
        """Return the training, with the loss of an autoencoder."""
        return TrainingSpec(loss="mean_squared_error", **msgspec.structs.asdict(self))


class AutoencoderRecipe(Checked, frozen=True, kw_only=True):
    """Which autoencoder, and what it is compared with.

    Args:
        hidden: its hidden widths; the narrowest is the code.
        initialization: its start.
        seeds: how many trainings, counted from the recipe's seed, or which seeds.
        code_sizes: the same network with other code widths, beside PCA of each.
        shapes: hidden widths of other autoencoders.
        noise: on the inputs in training; targets stay clean.
        sparsity: weight of the mean absolute code, added to the error in training.
        training: how all of them are trained.
    """

    hidden: Hidden = (128, 64, 128)
    initialization: Initialization = "pytorch"
    seeds: Seeds = 1
    code_sizes: tuple[Layer, ...] = ()
    shapes: tuple[Hidden, ...] = ()
    noise: Corruption = Corruption()
    sparsity: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    training: AutoencoderTraining = AutoencoderTraining()

    def faults(self) -> Iterator[str]:
        """Yield what has no effect."""
        if self.noise.kind != "gaussian" and self.noise.amount == 0:
            yield f"noise.kind = {self.noise.kind!r} has no effect with amount = 0"

    def member(self, features: int, seed: int) -> Member:
        """Make the autoencoder for data with some features."""
        widths = (features, *self.hidden, features)
        network = NetworkSpec(widths=widths, output="sigmoid", initialization=self.initialization)
        return Member(network=network, training=self.training.spec(), seed=seed)


class Recipe(Checked, frozen=True, kw_only=True):
    """A whole run; every part has defaults.

    Args:
        title: of the report.
        seed: all random streams of the run derive from it.
    """

    title: str = "A downslope run"
    seed: Seed = 541
    data: DataRecipe = DataRecipe()
    theory: TheoryRecipe = TheoryRecipe()
    search: SearchRecipe = SearchRecipe()
    refit: RefitRecipe = RefitRecipe()
    variants: VariantsRecipe = VariantsRecipe()
    landscape: LandscapeRecipe = LandscapeRecipe()
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
