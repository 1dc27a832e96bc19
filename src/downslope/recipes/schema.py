"""What a recipe may say: a TOML file that describes a whole run."""

from __future__ import annotations

from typing import Literal

import msgspec

from downslope.data import Kind
from downslope.landscape import Statistics
from downslope.networks import (
    DecayOn,
    Initialization,
    Member,
    NetworkSpec,
    Optimizer,
    Schedule,
    TrainingSpec,
)
from downslope.reconstruction import Corruption
from downslope.search import Halving, Proposer, Range, Sampler, Settings, Space, propose
from downslope.search.settings import Value
from downslope.theory import TrainabilitySpec


class DataRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which data: a set's name or a path, the label column of a CSV, split and centering.

    `kind` says what arrays hold where their content does not tell: "images" or "table".
    """

    name: str = "fashion-mnist"
    label: str | None = None
    kind: Kind | None = None
    validation: int | float = 0.2
    split_seed: int | None = None
    center: float = 0.5


class TheoryRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how the initialization theory is measured, and which deep networks are trained."""

    depth: int = 20
    width: int = 256
    repetitions: int = 30
    examples: int = 256
    trainability: TrainabilitySpec = TrainabilitySpec()


class ChoiceRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how the best trials are compared once more before one is chosen.

    Args:
        top: how many are trained again; 1 believes the search's best.
        seeds: trainings of each.
        second: share of the validation examples that do not rank the trials, and on which the
            best are compared; 0 compares on those that ranked them.
        folds: in place of seeds, one training on the rest for each fold of all training examples.
    """

    top: int = 5
    seeds: int = 3
    second: float = 0.0
    folds: int = 0


class SearchRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how many trials, how they are drawn, from which space, around which settings.

    Args:
        trials: how many.
        sampler: see `Proposer`.
        settings: what every trial shares.
        space: by setting, what it may be.
        conditions: by varied setting, when it is varied.
        constraints: conditions that every trial meets.
        halving: how trials that do badly are stopped early.
        choice: how the best are compared.
    """

    trials: int = 10
    sampler: Sampler = "random"
    settings: dict[str, Value] = {}
    space: dict[str, list[Value] | Range] = {}
    conditions: dict[str, str] = {}
    constraints: list[str] = []
    halving: Halving = Halving()
    choice: ChoiceRecipe = ChoiceRecipe()

    @property
    def whole_space(self) -> Space:
        """Return the space with what surrounds it.

        Raises:
            InputError: see `Space`.
        """
        return Space(
            base=Settings().replace(self.settings),
            values=self.space,
            conditions=self.conditions,
            constraints=self.constraints,
        )

    def proposer(self, seed: int) -> Proposer:
        """Make what proposes the trials.

        Raises:
            InputError: see `Space` and `Proposer`.
        """
        return Proposer(self.whole_space, self.sampler, seed)

    def proposals(self, seed: int, most: int | None = None) -> list[Settings]:
        """Return the settings of all trials, or of the first ones, before any outcome is known.

        Raises:
            InputError: see `Space` and `propose`.
        """
        count = self.trials if most is None else min(most, self.trials)
        return propose(self.whole_space, self.sampler, seed, count)


class RefitRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how a winner is trained again.

    Args:
        seeds: a list of seeds, or how many to count up from the recipe's.
        epochs: in place of the winner's own.
        settings: other settings in place of the winner's own.
        choice: all settings of the member to train, whatever the search finds.
        monitor_test: open the test set for its accuracy after each epoch.
    """

    seeds: list[int] | int = 3
    epochs: int | None = None
    settings: dict[str, Value] = {}
    choice: dict[str, Value] | None = None
    monitor_test: bool = False

    def seeds_from(self, seed: int) -> list[int]:
        """List the seeds, counting from the recipe's seed."""
        return [seed + i for i in range(self.seeds)] if isinstance(self.seeds, int) else self.seeds

    def resolved(self, winner: Settings) -> Settings:
        """Return the settings to train: the winner's, or the recipe's choice, with changes."""
        chosen = winner if self.choice is None else Settings().replace(self.choice)
        changes = dict(self.settings)
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        return chosen.replace(changes)


class VariantsRecipe(SearchRecipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which variants are searched and how the best is trained again."""

    refit: RefitRecipe = RefitRecipe()


class LandscapeRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which grid is drawn over which examples, and how many snapshots of the refit an epoch.

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
        statistics: of batch norm, "recomputed" at every point or "kept" as they were at the end.
        curvature: snapshots whose curvature is measured; 0 for none.
        seeds: draw the refit's seeds in a joint plane as well.
        trials: draw as many of the search's best in a joint plane, of those that have the best
            one's network; 0 for none.
    """

    grid: tuple[int, int] = (25, 25)
    margin: float = 0.2
    examples: int = 2500
    snapshots_per_epoch: int = 4
    start: bool = True
    components: tuple[int, int] = (1, 2)
    origin: Literal["mean", "final"] = "mean"
    spacing: Literal["linear", "log"] = "linear"
    tolerance: float = 0.0
    statistics: Statistics = "recomputed"
    curvature: int = 6
    seeds: bool = True
    trials: int = 5


class AutoencoderTraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say how the autoencoder is trained; the fields mean what they mean in `TrainingSpec`."""

    optimizer: Optimizer = "adam"
    learning_rate: float = 4e-3
    schedule: Schedule = "one_cycle"
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decay_on: DecayOn = "weights"
    batch_size: int = 32
    epochs: int = 20


class AutoencoderRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say which autoencoder, and what it is compared with.

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

    hidden: tuple[int, ...] = (128, 64, 128)
    initialization: Initialization = "pytorch"
    seeds: int | list[int] = 1
    code_sizes: tuple[int, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    noise: Corruption = Corruption()
    sparsity: float = 0.0
    training: AutoencoderTraining = AutoencoderTraining()

    def member(self, features: int, seed: int) -> Member:
        """Make the autoencoder for data with some features."""
        widths = (features, *self.hidden, features)
        network = NetworkSpec(widths=widths, output="sigmoid", initialization=self.initialization)
        settings = msgspec.structs.asdict(self.training)
        training = TrainingSpec(loss="mean_squared_error", **settings)
        return Member(network=network, training=training, seed=seed)

    def seeds_from(self, first: int) -> list[int]:
        """Return the seeds to train with."""
        if isinstance(self.seeds, list):
            return self.seeds
        return list(range(first, first + self.seeds))


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Describe a whole run; every part has defaults.

    Args:
        title: of the report.
        seed: all random streams of the run derive from it.
    """

    title: str = "A downslope run"
    seed: int = 541
    data: DataRecipe = DataRecipe()
    theory: TheoryRecipe = TheoryRecipe()
    search: SearchRecipe = SearchRecipe()
    refit: RefitRecipe = RefitRecipe()
    variants: VariantsRecipe = VariantsRecipe()
    landscape: LandscapeRecipe = LandscapeRecipe()
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
