from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.errors import InputError
from downslope.networks import NetworkSpec, TrainingSpec
from downslope.search import Range, Settings, Space


def test_every_setting_arrives_in_the_member() -> None:
    changed: dict[str, Any] = {
        "activation": "prelu",
        "normalization": "batch",
        "dropout": 0.25,
        "output": "sigmoid",
        "initialization": "he",
        "weight_scale": 0.5,
        "loss": "mean_squared_error",
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "schedule": "cosine",
        "momentum": 0.5,
        "nesterov": True,
        "weight_decay": 0.125,
        "decay_on": "all",
        "clip_norm": 1.5,
        "batch_size": 3,
        "epochs": 4,
        "evaluation_draw": True,
    }
    # Label smoothing goes with cross-entropy alone, see below.
    assert {*changed, "hidden_layers", "units", "label_smoothing", "encoding"} == set(
        Settings.__struct_fields__
    )
    member = Settings(hidden_layers=2, units=5).replace(changed).member(7, 3, seed=11)
    assert member.network.widths == (7, 5, 5, 3)
    assert member.seed == 11
    for name, value in changed.items():
        spec = member.network if name in NetworkSpec.__struct_fields__ else member.training
        assert getattr(spec, name) == value, name


def test_the_defaults_are_those_of_the_specs() -> None:
    member = Settings().member(4, 3, seed=0)
    assert member.training == TrainingSpec()
    assert member.network == NetworkSpec(widths=(4, 40, 40, 40, 3))


def test_no_hidden_layers_leave_a_linear_classifier() -> None:
    assert Settings(hidden_layers=0).member(4, 3, seed=0).network.widths == (4, 3)


@pytest.mark.parametrize("layers", [-1, 1001, 10**12])
def test_an_impossible_number_of_layers_is_refused_before_memory_is_taken(layers: int) -> None:
    with pytest.raises(InputError, match=rf"hidden_layers = {layers} .*from 0 to 1000"):
        Settings(hidden_layers=layers).member(4, 3, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("units", "forty"), ("units", 2.5), ("nesterov", 1), ("activation", "relux"), ("epochs", [1])],
)
def test_a_value_of_the_wrong_type_names_its_setting(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        Settings().replace({name: value})


@given(st.text())
def test_any_unknown_name_is_refused_by_name(name: str) -> None:
    if name not in Settings.__struct_fields__:
        with pytest.raises(InputError, match="is no setting"):
            Settings().replace({name: 1})


def test_replacing_leaves_the_original_alone() -> None:
    before = Settings()
    after = before.replace({"units": 3})
    assert (before.units, after.units) == (40, 3)
    assert msgspec.structs.replace(after, units=40) == before


def test_whole_numbers_become_floats_where_a_setting_is_one() -> None:
    decay = Settings().replace({"weight_decay": 0}).weight_decay
    assert decay == 0
    assert isinstance(decay, float)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (1, 1, False),
        (2, 1, False),
        (NAN, 1, False),
        (0.0, NAN, False),
        (0.0, INF, False),
        (-INF, 0.0, False),
        (0.0, 1.0, True),
        (-1, 5, True),
        (1, 2**62, False),
        (-(2**70), 1, False),
    ],
)
def test_a_range_that_holds_nothing_is_refused(low: float, high: float, log: bool) -> None:
    with pytest.raises(InputError, match="Range: "):
        Range(low=low, high=high, log=log)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"units": []}, "units is an empty list"),
        ({"unit": [1]}, "'unit' is no setting; did you mean 'units'"),
        ({"units": [10, 0]}, "units = 0"),
        ({"units": [10, "a"]}, "units = 'a'"),
        ({"units": Range(low=1, high=40.5)}, "units = 40.5"),
        ({"dropout": Range(low=0.5, high=1.0)}, "dropout = 1.0"),
        ({"dropout": [0.1, NAN]}, "dropout = nan"),
        ({"activation": Range(low=1, high=2)}, "activation = 1"),
        ({"hidden_layers": [-1]}, "hidden_layers = -1"),
        ({"learning_rate": [0.1, 0.0]}, "learning_rate = 0.0"),
    ],
)
def test_a_space_names_the_setting_and_the_value_it_cannot_have(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Space(base=Settings(), values=values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_label_smoothing_arrives_too() -> None:
    assert Settings(label_smoothing=0.1).member(4, 3, seed=0).training.label_smoothing == 0.1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"conditions": {"momentum": "units > 3"}}, "momentum is not varied"),
        ({"conditions": {"units": "nits > 3"}}, "conditions: units: 'nits > 3': 'nits' is no"),
        ({"conditions": {"units": "epochs > 3"}}, "units depends on epochs, which is drawn after"),
        ({"conditions": {"units": "units > 3"}}, "units depends on units"),
        ({"constraints": ["units >"]}, "constraints: 'units >': not a condition"),
    ],
)
def test_a_condition_that_cannot_be_evaluated_is_refused(
    more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Space(base=Settings(), values={"units": [4, 8], "epochs": [1, 2]}, **more)
    assert message in str(caught.value)


def test_a_setting_is_as_in_the_base_where_its_condition_does_not_hold() -> None:
    space = Space(
        base=Settings(dropout=0.05),
        values={"units": [4, 8], "dropout": [0.1, 0.2]},
        conditions={"dropout": "units > 4"},
    )
    assert space.settings({"units": 4, "dropout": 0.2}).dropout == 0.05
    assert space.settings({"units": 8, "dropout": 0.2}).dropout == 0.2


@pytest.mark.parametrize("values", [{"units": 8}, {"units": "8"}, [1], {"units": None}])
def test_a_space_of_another_form_is_refused(values: Any) -> None:
    with pytest.raises(InputError, match=r"^Space: values = .* it must be a table of lists"):
        Space(base=Settings(), values=values)
