"""The estimate adds up what the stages train, and the speed is that of this machine's training."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from downslope.data import Dataset
from downslope.networks import Member, NetworkSpec, TrainingSpec
from downslope.recipes import STAGES, load_recipe, needed, parse_recipe
from downslope.recipes.estimate import REPORT, SERIAL, estimate, measure_speed

Make = Callable[..., Dataset]


def test_the_speed_is_the_cost_of_a_training_by_its_seconds() -> None:
    ticks = count(step=2.5)
    network = NetworkSpec(widths=(784, 80, 80, 10))
    member = Member(network=network, training=TrainingSpec(batch_size=64, epochs=4), seed=0)
    speed = measure_speed(1, clock=lambda: next(ticks))
    assert speed == pytest.approx(member.expected_cost(4096) / 2.5)


def test_members_that_are_known_are_added_up(tiny_table: dict[str, Any], make_digits: Make) -> None:
    tiny_table["refit"] = {"seeds": 3, "epochs": 7, "choice": {"units": 20, "hidden_layers": 1}}
    recipe, data = parse_recipe(tiny_table, "tiny"), make_digits()
    network = NetworkSpec(widths=(64, 20, 10))
    cost = Member(network=network, training=TrainingSpec(epochs=7), seed=0).expected_cost(200)
    assert estimate(recipe, data, ["refit"], 1e6, 1) == pytest.approx((3 * cost + REPORT) / 1e6)
    assert estimate(recipe, data, ["refit"], 1e6, 3) == pytest.approx((cost + REPORT) / 1e6)
    network = NetworkSpec(widths=(64, 16, 8, 16, 64), output="sigmoid")
    training = recipe.autoencoder.training.spec()
    cost = Member(network=network, training=training, seed=0).expected_cost(200)
    fixed = REPORT + SERIAL["autoencoder"]
    assert estimate(recipe, data, ["autoencoder"], 1e6, 1) == pytest.approx((cost + fixed) / 1e6)


def test_halving_spares_and_the_choice_adds(tiny_table: dict[str, Any], make_digits: Make) -> None:
    data = make_digits()

    def seconds(**search: Any) -> float:
        table = tiny_table | {
            "search": {"trials": 9, "settings": {"epochs": 9, "units": 12}, **search}
        }
        recipe = parse_recipe(table, "tiny")
        return estimate(recipe, data, ["search"], 1.0, 1) - REPORT

    alone = {"top": 1}
    full = seconds(choice=alone)
    # Nine for a ninth of their epochs, three for two ninths more, one for six: 21 of 81.
    halving = {"method": "halving", "smallest": 0.1}
    assert seconds(choice=alone, halving=halving) == pytest.approx(full * 21 / 81)
    assert seconds(choice={"top": 3, "seeds": 2}) == pytest.approx(full * (9 + 6) / 9)


@pytest.mark.parametrize("name", ["quick", "hw3", "fashion-mnist"])
def test_every_stage_of_the_shipped_recipes_has_an_estimate(name: str, make_digits: Make) -> None:
    recipe, data = load_recipe(name), make_digits()
    each = [estimate(recipe, data, [stage], 1e6, 2) - REPORT / 1e6 for stage in STAGES]
    assert min(each) > 0
    whole = estimate(recipe, data, needed(list(STAGES), recipe), 1e6, 2)
    assert whole == pytest.approx(sum(each) + REPORT / 1e6)
    assert estimate(recipe, data, list(STAGES), 2e6, 2) == pytest.approx(whole / 2)
