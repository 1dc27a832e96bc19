import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from downslope.data import Examples
from downslope.errors import InputError
from downslope.progress import drain
from downslope.recipes import load_recipe
from downslope.search import Range, Sampler, Settings, Space, propose, search

PUBLISHED: dict[str, list[Any]] = {
    "hidden_layers": [2, 3, 4, 5, 6],
    "batch_size": [8, 12, 16, 20, 32, 48, 64, 128, 145, 256],
    "learning_rate": [0.01, 0.005, 0.001, 0.0005, 0.0001, 0.00005, 0.00001],
    "units": [5, 10, 20, 30, 40],
    "weight_decay": [0, 0.0005, 0.001, 0.0001, 0.00001],
    "epochs": [15, 20, 25],
}

lists = st.lists(st.integers(1, 300), min_size=1, max_size=6)
whole = st.tuples(st.integers(1, 200), st.integers(1, 200), st.booleans()).map(
    lambda t: Range(low=min(t[0], t[1]), high=max(t[0], t[1]) + 1, log=t[2])
)
rates = st.tuples(st.floats(1e-9, 1), st.floats(1.5, 100), st.booleans()).map(
    lambda t: Range(low=t[0], high=t[1], log=t[2])
)
spaces = st.fixed_dictionaries(
    {},
    optional={
        "units": st.one_of(lists, whole),
        "batch_size": st.one_of(lists, whole),
        "learning_rate": st.one_of(st.lists(st.floats(1e-6, 1), min_size=1), rates),
        "activation": st.lists(st.sampled_from(["relu", "elu", "tanh"]), min_size=1),
    },
).map(lambda values: Space(base=Settings(), values=values))


def as_published(space: dict[str, list[Any]], trials: int) -> list[dict[str, Any]]:
    """The published lines, literally: NumPy's global generator, one choice after another."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(541)  # noqa: NPY002
        return [
            {name: np.random.choice(values) for name, values in space.items()}  # noqa: NPY002
            for _ in range(trials)
        ]
    finally:
        np.random.set_state(state)  # noqa: NPY002


def test_the_published_sampler_draws_what_the_published_lines_draw() -> None:
    proposed = propose(Space(base=Settings(), values=PUBLISHED), "published", 541, 50)
    for settings, drawn in zip(proposed, as_published(PUBLISHED, 50), strict=True):
        for name, value in drawn.items():
            assert getattr(settings, name) == value


@pytest.mark.parametrize(
    ("trial", "settings"),
    [
        (0, (2, 5, 20, 1e-4, 1e-5, 20)),
        (3, (6, 5, 20, 1e-3, 5e-4, 25)),
        (35, (3, 40, 16, 0.01, 0.001, 25)),
    ],
)
def test_the_recipe_hw3_proposes_the_published_trials(trial: int, settings: tuple[Any]) -> None:
    recipe = load_recipe("hw3")
    one = recipe.search.proposals(recipe.seed)[trial]
    assert settings == (
        one.hidden_layers,
        one.units,
        one.batch_size,
        one.learning_rate,
        one.weight_decay,
        one.epochs,
    )
    assert (one.optimizer, one.schedule, one.decay_on) == ("sgd", "constant", "weights")


def test_the_published_variants_are_drawn_with_mixed_types() -> None:
    recipe = load_recipe("hw3")
    space: dict[str, list[Any]] = {
        "hidden_layers": [3, 4, 5],
        "batch_size": [32, 64, 128],
        "learning_rate": [0.001, 0.0005, 0.0001],
        "units": [64, 128, 256],
        "weight_decay": [0, 0.0001, 0.00001],
        "epochs": [30, 40],
        "normalization": [True, False],
        "dropout": [0, 0.2, 0.3, 0.5],
        "activation": ["relu", "leaky_relu", "elu", "prelu"],
    }
    proposed = recipe.variants.proposals(recipe.seed)
    for settings, drawn in zip(proposed, as_published(space, 15), strict=True):
        batch = drawn.pop("normalization")
        assert (settings.normalization == "batch") == batch
        for name, value in drawn.items():
            assert getattr(settings, name) == value, name


@given(spaces, st.integers(0, 2**62 - 1), st.integers(0, 6), st.integers(0, 6))
def test_a_longer_search_begins_with_a_shorter_one(
    space: Space, seed: int, short: int, more: int
) -> None:
    assert propose(space, "random", seed, short + more)[:short] == propose(
        space, "random", seed, short
    )


def test_a_longer_published_search_begins_with_a_shorter_one() -> None:
    space = Space(base=Settings(), values=PUBLISHED)
    assert propose(space, "published", 541, 40)[:7] == propose(space, "published", 541, 7)


@given(spaces, st.integers(0, 1000))
def test_every_draw_is_of_the_space_and_the_rest_is_of_the_base(space: Space, seed: int) -> None:
    for settings in propose(space, "random", seed, 8):
        for name in Settings.__struct_fields__:
            drawn, values = getattr(settings, name), space.values.get(name)
            if values is None:
                assert drawn == getattr(space.base, name)
            elif isinstance(values, Range):
                assert values.low <= drawn <= values.high
            else:
                assert drawn in values
        settings.member(4, 3, seed)


def draws(name: str, values: Range, count: int) -> list[float]:
    space = Space(base=Settings(), values={name: values})
    return [getattr(s, name) for s in propose(space, "random", 0, count)]


def test_a_whole_range_reaches_both_ends_evenly() -> None:
    drawn = draws("units", Range(low=3, high=7), 2000)
    counts = [drawn.count(k) for k in range(3, 8)]
    assert sum(counts) == 2000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_whole_logarithmic_range_reaches_both_ends_with_their_share() -> None:
    drawn = draws("units", Range(low=1, high=8, log=True), 3000)
    counts = [drawn.count(k) for k in range(1, 9)]
    edges = np.log(np.arange(0.5, 9))
    expected = np.diff(edges) / (edges[-1] - edges[0]) * 3000
    assert sum(counts) == 3000
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_a_range_is_uniform_and_a_logarithmic_one_log_uniform() -> None:
    flat = draws("learning_rate", Range(low=0.1, high=0.9), 1500)
    assert stats.kstest(flat, stats.uniform(0.1, 0.8).cdf).pvalue > 1e-3
    log = draws("learning_rate", Range(low=1e-5, high=1.0, log=True), 1500)
    assert stats.kstest(np.log(log), stats.uniform(math.log(1e-5), -math.log(1e-5)).cdf).pvalue > (
        1e-3
    )


def test_a_search_has_another_course_with_another_seed() -> None:
    space = Space(base=Settings(), values={"learning_rate": Range(low=0.1, high=1.0)})
    first, second = (propose(space, "random", seed, 3) for seed in (1, 2))
    assert not {s.learning_rate for s in first} & {s.learning_rate for s in second}


def test_no_global_generator_is_read_or_seeded() -> None:
    before = np.random.get_state()  # noqa: NPY002
    propose(Space(base=Settings(), values=PUBLISHED), "published", 541, 3)
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_the_published_sampler_refuses_what_it_cannot_draw() -> None:
    ranged = Space(base=Settings(), values={"units": Range(low=1, high=2)})
    with pytest.raises(InputError, match="units is a range"):
        propose(ranged, "published", 541, 1)
    with pytest.raises(InputError, match=r"seed = 4294967296: .* below 2\*\*32"):
        propose(Space(base=Settings(), values=PUBLISHED), "published", 2**32, 1)


# By ask and tell: grids, quasi-random points, conditions, constraints, learning

SMALL = Space(
    base=Settings(),
    values={"units": [8, 4, 16], "activation": ["relu", "elu"], "nesterov": [False]},
)


def test_a_grid_is_every_combination_once_in_a_seeded_order() -> None:
    found = [(s.units, s.activation) for s in propose(SMALL, "grid", 3, 100)]
    assert sorted(found) == sorted(itertools.product([8, 4, 16], ["relu", "elu"]))
    assert found == [(s.units, s.activation) for s in propose(SMALL, "grid", 3, 100)]
    assert found != [(s.units, s.activation) for s in propose(SMALL, "grid", 4, 100)]


def test_a_grid_has_no_trial_twice_where_a_condition_leaves_a_setting_out() -> None:
    space = Space(
        base=Settings(),
        values={"optimizer": ["sgd", "adam"], "momentum": [0.5, 0.9]},
        conditions={"momentum": "optimizer == 'sgd'"},
    )
    found = {(s.optimizer, s.momentum) for s in propose(space, "grid", 3, 100)}
    assert len(propose(space, "grid", 3, 100)) == 3
    assert found == {("sgd", 0.5), ("sgd", 0.9), ("adam", 0.0)}


@pytest.mark.parametrize("sampler", ["random", "quasi_random", "tpe"])
def test_conditions_and_constraints_hold_in_every_proposal(sampler: Any) -> None:
    space = Space(
        base=Settings(),
        values={
            "units": Range(low=4, high=64, log=True),
            "hidden_layers": [1, 2, 3],
            "dropout": Range(low=0.1, high=0.5),
        },
        conditions={"dropout": "units >= 16"},
        constraints=["units * hidden_layers <= 64"],
    )
    found = propose(space, sampler, 1, 40)
    assert len(found) == 40
    assert {(s.dropout > 0) == (s.units >= 16) for s in found} == {True}
    assert all(s.units * s.hidden_layers <= 64 for s in found)
    assert {s.units >= 16 for s in found} == {True, False}
    assert propose(space, sampler, 1, 10) == found[:10]


def test_constraints_that_nothing_meets_give_one_line() -> None:
    space = Space(base=Settings(), values={"units": [4, 8]}, constraints=["units > 8"])
    with pytest.raises(InputError, match="no proposal in 1,000 meets the constraints"):
        propose(space, "random", 0, 1)
    assert propose(space, "grid", 0, 5) == []


def test_quasi_random_points_are_scipys_and_more_even_than_random_ones() -> None:
    space = Space(
        base=Settings(),
        values={
            "learning_rate": Range(low=1e-4, high=1.0, log=True),
            "dropout": Range(low=0.0, high=0.5),
        },
    )
    found = propose(space, "quasi_random", 9, 64)
    cube = np.array([[(math.log10(s.learning_rate) + 4) / 4, s.dropout / 0.5] for s in found])
    theirs = stats.qmc.Sobol(2, scramble=True, rng=np.random.default_rng(9)).random(64)
    assert cube == pytest.approx(theirs, abs=1e-12)
    drawn = propose(space, "random", 9, 64)
    plain = np.array([[(math.log10(s.learning_rate) + 4) / 4, s.dropout / 0.5] for s in drawn])
    assert stats.qmc.discrepancy(cube) < stats.qmc.discrepancy(plain) / 2


def learn(trials: int, seed: int) -> list[float]:
    """Let TPE find the best learning rate of a known curve, in cohorts of five."""
    space = Space(base=Settings(), values={"learning_rate": Range(low=1e-5, high=10.0, log=True)})
    sampler = Sampler(space, "tpe", seed)
    rates: list[float] = []
    while len(rates) < trials:
        first = len(rates)
        for _ in range(5):
            settings = sampler.ask()
            assert settings is not None
            rates.append(settings.learning_rate)
        for number in range(first, len(rates)):
            accuracy = math.exp(-((math.log10(rates[number]) + 2) ** 2))
            sampler.tell(number, [accuracy], "completed")
    return rates


def test_tpe_learns_where_the_best_are_and_repeats_itself() -> None:
    rates = learn(60, 4)
    assert rates == learn(60, 4)
    off = np.abs(np.log10(rates) + 2)
    assert np.median(off[30:]) < np.median(off[:10]) / 2


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("completed", "COMPLETE"), ("pruned", "PRUNED"), ("diverged", "COMPLETE"), ("failed", "FAIL")],
)
def test_every_outcome_can_be_told(outcome: str, state: str) -> None:
    sampler = Sampler(SMALL, "tpe", 1)
    sampler.ask()
    sampler.tell(0, [0.3, 0.5], outcome)
    told = sampler._study.trials[0]  # pyright: ignore[reportPrivateUsage]
    assert told.state.name == state
    if outcome == "pruned":
        assert told.intermediate_values == {0: 0.3, 1: 0.5}


def test_tpe_learns_from_the_loss_where_there_are_no_classes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    numbers = Examples(rows, rows[:, :1])
    space = Space(
        base=Settings(loss="mean_squared_error", hidden_layers=1, units=4, epochs=2),
        values={"learning_rate": [0.001, 0.1, 1e30]},
    )
    sampler = Sampler(space, "tpe", 3)
    steps = search(
        sampler, numbers, numbers, trials=48, classes=1, seed=3, store=tmp_path / "t.sqlite"
    )
    found = drain(steps)
    told = [t for t in sampler._study.trials if t.values]  # pyright: ignore[reportPrivateUsage]
    assert {t.outcome for t in found.trials} == {"completed", "diverged"}
    for trial in told:
        found_trial = found.trials[trial.number]
        loss = found_trial.validation_loss
        assert trial.value == (-math.inf if loss is None else -loss)
    assert len(told) > 5


def test_a_sampler_that_does_not_exist_is_refused_with_those_that_do() -> None:
    unknown: Any = "lucky"
    named = r"sampler = 'lucky'; it must be one of random, quasi_random, grid, tpe, published"
    with pytest.raises(InputError, match=named):
        Sampler(SMALL, unknown, 1)


def test_what_a_sampler_cannot_draw_from_is_refused() -> None:
    ranged = Space(base=Settings(), values={"units": Range(low=1, high=2)})
    with pytest.raises(InputError, match="units is a range; the grid sampler needs a list"):
        propose(ranged, "grid", 541, 1)
    tied = Space(base=Settings(), values={"units": [1, 2]}, constraints=["units > 1"])
    with pytest.raises(InputError, match="the published sampler draws each trial once"):
        propose(tied, "published", 541, 1)
    wide = {name: list(range(1, 102)) for name in ("units", "batch_size", "epochs")}
    with pytest.raises(InputError, match="a grid of 1,030,301 points"):
        propose(Space(base=Settings(), values=wide), "grid", 541, 1)
