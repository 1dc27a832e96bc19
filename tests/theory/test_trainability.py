"""Deep networks: He and orthogonal learn where the others do not; the map; refusals; same bits."""

import math

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_digits

from downslope.data import Examples
from downslope.errors import InputError
from downslope.progress import Progress, drain
from downslope.theory import TrainabilityResult, TrainabilitySpec, train_deep_networks

SMALL = TrainabilitySpec(
    depths=(2, 20),
    map_depths=(20,),
    weight_variances=(0.5, 2.0),
    width=32,
    learning_rates=(0.01,),
    seeds=2,
    epochs=40,
    batch_size=16,
    examples=800,
)


@pytest.fixture(scope="module")
def rows(digits) -> Examples:
    return Examples(digits, load_digits().target.astype(np.int64))


def trained(rows: Examples, spec: TrainabilitySpec, threads: int | None = None):
    held_out = rows.take(np.arange(1000, 1797))
    return train_deep_networks(
        spec, rows.take(np.arange(1000)), held_out, classes=10, seed=541, threads=threads
    )


@pytest.fixture(scope="module")
def result(rows) -> TrainabilityResult:
    return drain(trained(rows, SMALL))


def test_he_learns_at_twenty_layers_and_the_default_does_not(result):
    verdicts = {(one.initialization, one.depth): one.trains for one in result.comparison}
    assert len(verdicts) == 10
    assert verdicts["he", 20] and verdicts["orthogonal", 20]
    assert not verdicts["xavier", 20] and not verdicts["lecun", 20] and not verdicts["pytorch", 20]
    assert verdicts["he", 2] and verdicts["xavier", 2]


def test_the_map_is_by_weight_variance(result):
    assert [(one.weight_variance, one.depth, one.trains) for one in result.map] == [
        (0.5, 20, False),
        (2.0, 20, True),
    ]
    assert result.edge == pytest.approx(2)
    (half,) = (d.depth_scale for d in result.depth_scales if d.weight_variance == 0.5)
    assert half == pytest.approx(1 / math.log(4))
    assert result.networks == 2 * 5 * 2 + 2 and result.examples == 800


def test_the_bar_is_half_of_the_way_from_a_guess(result, rows):
    accuracies = [a for one in result.comparison + result.map for a in one.accuracies]
    assert result.guess == np.bincount(rows.targets[1000:]).max() / 797
    assert result.bar == pytest.approx((result.guess + max(accuracies)) / 2)


def test_the_same_seed_gives_the_same_bits_on_one_thread(rows, result):
    assert drain(trained(rows, SMALL, 1)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=TrainabilityResult) == result


def test_a_diverged_network_is_a_guess_and_named(rows):
    spec = msgspec.structs.replace(
        SMALL, weight_variances=(2.0, 900.0), depths=(2,), seeds=1, epochs=1, learning_rates=(1.0,)
    )
    found = drain(trained(rows, spec))
    (wild,) = (one for one in found.map if one.weight_variance == 900.0)
    assert wild.accuracies == [None] and wild.learning_rates == [None] and not wild.trains


def test_the_rate_with_the_lowest_training_loss_counts(rows):
    spec = msgspec.structs.replace(
        SMALL, depths=(2,), weight_variances=(2.0,), learning_rates=(1e-6, 0.03), epochs=10, seeds=1
    )
    found = drain(trained(rows, spec))
    he = found.comparison[0]
    assert he.learning_rates == [0.03] and he.trains


def test_progress_never_falls_and_ends_full(rows):
    seen: list[Progress] = []
    spec = msgspec.structs.replace(SMALL, depths=(2,), epochs=1)
    steps = trained(rows, spec)
    while True:
        try:
            seen.append(next(steps))
        except StopIteration:
            break
    done = [p.done for p in seen]
    assert done == sorted(done) and seen[-1].done == seen[-1].total


@pytest.mark.parametrize(
    "change",
    [
        {"depths": (0,)},
        {"depths": (3, 3)},
        {"map_depths": (201,)},
        {"weight_variances": (0.0,)},
        {"weight_variances": ()},
        {"learning_rates": (-1.0,)},
        {"learning_rates": (math.nan,)},
        {"width": 0},
        {"seeds": 0},
        {"initializations": ()},
    ],
)
def test_what_is_out_of_range_is_refused_by_name(change):
    (name,) = change
    with pytest.raises(InputError, match=rf"TrainabilitySpec: {name} = "):
        TrainabilitySpec(**change)
