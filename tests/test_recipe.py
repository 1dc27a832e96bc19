import pytest

from downslope.errors import InputError
from downslope.recipe import AutoencoderRecipe, Recipe, RefitRecipe, SearchRecipe, seeds_from
from downslope.recipes import load_recipe
from downslope.search import Settings


def test_seeds_are_listed_or_counted_from_the_recipes() -> None:
    assert seeds_from(RefitRecipe(seeds=3).seeds, 541) == [541, 542, 543]
    assert seeds_from(RefitRecipe(seeds=[9, 2]).seeds, 541) == [9, 2]


def test_a_refit_takes_the_winner_unless_a_choice_is_given() -> None:
    winner = Settings(units=7, epochs=3, learning_rate=0.5)
    assert RefitRecipe().resolved(winner) == winner
    changed = RefitRecipe(epochs=9, settings={"learning_rate": 0.25}).resolved(winner)
    assert changed == Settings(units=7, epochs=9, learning_rate=0.25)
    chosen = RefitRecipe(choice={"units": 3}, epochs=4).resolved(winner)
    assert chosen == Settings(units=3, epochs=4)


def test_proposals_are_drawn_around_the_recipes_settings() -> None:
    recipe = SearchRecipe(trials=4, settings={"epochs": 3}, space={"units": [5, 6]})
    proposals = recipe.proposals(1)
    assert len(proposals) == 4
    assert {p.epochs for p in proposals} == {3}
    assert {p.units for p in proposals} <= {5, 6}
    with pytest.raises(InputError, match="'unit' is no setting"):
        SearchRecipe(settings={"unit": 3}).proposals(1)


def test_the_default_autoencoder_is_that_of_the_assignment() -> None:
    member = AutoencoderRecipe().member(784, seed=1)
    assert member.network.widths == (784, 128, 64, 128, 784)
    assert (member.network.parameters, member.network.output) == (218_192, "sigmoid")
    assert member.training.loss == "mean_squared_error"


def test_hw3_is_the_published_procedure() -> None:
    recipe = load_recipe("hw3")
    assert (recipe.seed, recipe.data.split_seed, recipe.data.center) == (541, 541, 0.5)
    assert (recipe.data.validation, recipe.search.trials) == (12_000, 50)
    assert seeds_from(recipe.refit.seeds, recipe.seed) == [576]
    member = recipe.refit.resolved(Settings()).member(784, 10, 576)
    assert member.network.label == "784-40-40-40-10"
    training = member.training
    assert (training.batch_size, training.learning_rate, training.epochs) == (16, 0.01, 50)
    assert (training.weight_decay, training.decay_on) == (0.001, "all")
    assert (recipe.refit.monitor_test, training.evaluation_draw) == (True, True)
    drawn = recipe.landscape
    assert (drawn.grid, drawn.margin, drawn.examples) == ((25, 25), 0.2, 2500)
    assert (drawn.snapshots_per_epoch, drawn.start) == (1, False)
    coder = recipe.autoencoder
    assert coder.member(784, 541).network.parameters == 218_192
    assert (coder.training.learning_rate, coder.training.epochs) == (1e-3, 20)
    assert (coder.training.optimizer, coder.training.schedule) == ("adam", "constant")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Recipe().seed = 3  # type: ignore[misc]
