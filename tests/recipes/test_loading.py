from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.cli.options import parse_changes
from downslope.errors import InputError
from downslope.recipes import Recipe, load_recipe, parse_recipe, shipped
from downslope.search import Range


def refused(*changes: str, recipe: str = "quick") -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, parse_changes(changes))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["fashion-mnist", "hw3", "quick"])
def test_every_shipped_recipe_is_allowed(name: str) -> None:
    assert name in shipped()
    recipe = load_recipe(name)
    assert len(recipe.search.proposals(recipe.seed)) == recipe.search.trials >= 10
    assert msgspec.convert(msgspec.to_builtins(recipe), Recipe) == recipe


def test_an_empty_recipe_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert load_recipe(str(path)) == Recipe()


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        ("sed=1", "sed", "seed"),
        ("dta.name=1", "dta", "data"),
        ("data.nam=1", "data.nam", "data.name"),
        ("theory.reptitions=3", "theory.reptitions", "theory.repetitions"),
        ("search.trails=3", "search.trails", "search.trials"),
        ("refit.sedes=3", "refit.sedes", "refit.seeds"),
        ("variants.refit.sedes=3", "variants.refit.sedes", "variants.refit.seeds"),
        ("landscape.margn=1", "landscape.margn", "landscape.margin"),
        ("autoencoder.hiden=[1]", "autoencoder.hiden", "autoencoder.hidden"),
    ],
)
def test_an_unknown_key_is_named_with_what_was_meant(change: str, key: str, meant: str) -> None:
    assert refused(change) == f"quick: {key!r} is not a key; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("search.settings.unit=3", "search: 'unit' is no setting; did you mean 'units'?"),
        ("search.space.unit=[3]", "search: space: 'unit' is no setting; did you mean"),
        ("variants.settings.unit=3", "variants: 'unit' is no setting"),
        ("refit.settings.unit=3", "refit: 'unit' is no setting"),
        ("refit.choice.unit=3", "refit: 'unit' is no setting"),
        ("variants.refit.choice.unit=3", "variants.refit: 'unit' is no setting"),
        ("search.space.units={low=1,hihg=2}", "'search.space.units.hihg' is not a key"),
        ("autoencoder.training.lr=1", "'autoencoder.training.lr' is not a key"),
        ("zzz=1", "'zzz' is not a key; see"),
        ("a\nb=1", r"'a\nb' is not a key"),
    ],
)
def test_an_unknown_name_below_settings_is_named(change: str, named: str) -> None:
    assert named in refused(change)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("seed=one", "seed = 'one' -> a whole number from 0 to 2**62"),
        ("seed=1.5", "seed = 1.5 -> a whole number"),
        ("title=3", "title = 3 -> text"),
        ("title=2026-01-01", "title = datetime.date(2026, 1, 1) -> text"),
        ("search=3", "search = 3 -> a table"),
        (
            "search.trials=true",
            "search: trials = True -> a whole number from 1 to 10000",
        ),
        (
            "search.sampler=luck",
            "search: sampler = 'luck' -> one of random, quasi",
        ),
        (
            "search.halving.method=x",
            "search.halving: method = 'x' -> one of none, halv",
        ),
        (
            "search.settings.schedule=x",
            "search: schedule = 'x' -> one of constant, cosine",
        ),
        (
            "search.space.activation=['x']",
            "search: space: activation = 'x' -> one of relu, leaky",
        ),
        (
            "search.settings.learning_rate=0",
            "search: learning_rate = 0 -> a number from 1e-37",
        ),
        ("search.sampler=grid", "search: space: learning_rate is a range; the grid sampler needs"),
        (
            "search.constraints=[1]",
            "search: constraints = [1] -> a list of texts",
        ),
        ("search.constraints=['unit > 3']", "search: constraints: 'unit > 3': 'unit' is no"),
        (
            "search.conditions.units=3",
            "search.conditions: units = 3 -> text",
        ),
        ("search.conditions.momentum='units > 3'", "search: conditions: momentum is not varied"),
        (
            "search.halving.factor=1",
            "search.halving: factor = 1 -> a whole number from 2",
        ),
        (
            "search.choice.folds=1",
            "search.choice: folds = 1 -> a whole number, 0 or from 2",
        ),
        ("search.choice.top=0", "search.choice: top = 0 is not allowed"),
        ("search.choice.second=1", "search.choice: second = 1 is not allowed"),
        (
            "search.space.units=40",
            "search.space: units = 40 -> a list of texts, numbers, true",
        ),
        (
            "search.space.activation=relu",
            "search.space: activation = 'relu' -> a list of",
        ),
        (
            "search.settings.units=[1]",
            "search.settings: units = [1] -> text, a number, true",
        ),
        (
            "search.settings.units=x",
            "search: units = 'x' -> a whole number from 1 to 1,048,576",
        ),
        (
            "variants.refit.choice.units=[1]",
            "variants.refit.choice: units = [1] -> text",
        ),
        ("search.space.units={low=5,high=5}", "search.space.units: low = 5 must be below"),
        (
            "landscape.grid=[3]",
            "landscape: grid = [3] -> 2 whole numbers from 2 to 1000",
        ),
        (
            "autoencoder.hidden=3",
            "autoencoder: hidden = 3 -> a list of whole numbers",
        ),
        (
            "autoencoder.training.optimizer=lbfgs",
            "autoencoder.training: optimizer = 'lbfgs' -> one of sgd, adam",
        ),
        (
            "refit.seeds=[1.5]",
            "refit: seeds = [1.5] -> a whole number from 1",
        ),
    ],
)
def test_a_value_of_the_wrong_type_names_its_key(change: str, named: str) -> None:
    message = named.replace(" -> ", " is not allowed; it must be ")
    assert refused(change).startswith(f"quick: {message}")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("seed=-1", "seed = -1"),
        ("seed=4611686018427387904", "seed = 4611686018427387904"),
        ("data.validation=nan", "data: validation = nan"),
        ("data.validation=inf", "data: validation = inf"),
        ("data.center=nan", "data: center = nan"),
        ("data.split_seed=-1", "data: split_seed = -1"),
        ("data.split_seed=99999999999999999999999", "data: split_seed = 9999"),
        ("theory.depth=0", "theory: depth = 0"),
        ("theory.width=1", "theory: width = 1"),
        ("theory.repetitions=0", "theory: repetitions = 0"),
        ("theory.examples=0", "theory: examples = 0"),
        ("search.trials=0", "search: trials = 0"),
        ("search.trials=99999999999999999999999", "search: trials = 9999"),
        ("variants.trials=-3", "variants: trials = -3"),
        ("search.space.units=[]", "search: space: units is an empty list"),
        ("search.space.units=[1,0]", "search: space: units = 0"),
        ("search.settings.loss=mean_squared_error", "search: loss = 'mean_squared_error' is not"),
        ("variants.space.loss=['mean_squared_error']", "variants: loss = 'mean_squared_error'"),
        ("refit.settings.loss=mean_squared_error", "refit: loss = 'mean_squared_error' is not"),
        ("search.space.units=[1,'a']", "search: space: units = 'a'"),
        ("search.space.dropout={low=0.5,high=1.0}", "search: space: dropout = 1.0"),
        ("search.settings.hidden_layers=1000000000000", "hidden_layers = 1000000000000"),
        ("refit.seeds=0", "refit: seeds = 0"),
        ("refit.seeds=[]", "refit: seeds = []"),
        ("refit.seeds=[1,1]", "refit: seeds = [1, 1]"),
        ("refit.seeds=[-1]", "refit: seeds = [-1]"),
        ("refit.seeds=[9223372036854775808]", "refit: seeds = [9223372036854775808]"),
        ("refit.seeds=9999999999999", "refit: seeds = 9999999999999"),
        ("variants.refit.seeds=0", "variants.refit: seeds = 0"),
        ("refit.epochs=0", "refit: epochs = 0"),
        ("refit.settings.momentum=2", "refit: momentum = 2"),
        ("landscape.grid=[1,5]", "landscape: grid = [1, 5]"),
        ("landscape.margin=-1", "landscape: margin = -1"),
        ("landscape.margin=nan", "landscape: margin = nan"),
        ("landscape.tolerance=-0.1", "landscape: tolerance = -0.1"),
        ("landscape.tolerance=nan", "landscape: tolerance = nan"),
        ("landscape.examples=0", "landscape: examples = 0"),
        ("landscape.snapshots_per_epoch=0", "landscape: snapshots_per_epoch = 0"),
        ("autoencoder.hidden=[0]", "autoencoder: hidden = [0]"),
        ("autoencoder.training.learning_rate=-1", "learning_rate = -1 "),
        ("autoencoder.training.loss=cross_entropy", "autoencoder.training.loss"),
        ("autoencoder.hidden=[]", "autoencoder: hidden = []"),
        ("autoencoder.seeds=0", "autoencoder: seeds = 0"),
        ("autoencoder.seeds=[2,2]", "autoencoder: seeds = [2, 2]"),
        ("autoencoder.code_sizes=[0]", "autoencoder: code_sizes = [0]"),
        ("autoencoder.shapes=[[]]", "autoencoder: shapes = [[]]"),
        ("autoencoder.sparsity=-1", "autoencoder: sparsity = -1"),
        ("autoencoder.noise.amount=-1", "noise: amount = -1"),
    ],
)
def test_a_value_out_of_range_is_named_before_anything_runs(change: str, named: str) -> None:
    assert named in refused(change)


def test_settings_that_do_not_go_together_are_found_before_anything_runs() -> None:
    message = refused("search.space.optimizer=['sgd','adam']", "search.space.momentum=[0.0,0.9]")
    assert "search: TrainingSpec: momentum = 0.9 is not allowed" in message


def test_settings_that_go_together_in_no_early_proposal_are_found_too() -> None:
    # Among 201 choices of momentum one belongs to sgd alone, and the seed draws it late or never.
    many = str([0.0] * 400 + [0.9])
    message = refused("search.space.optimizer=['sgd','adam']", f"search.space.momentum={many}")
    assert "search: TrainingSpec: momentum = 0.9 is not allowed" in message
    message = refused("search.space.normalization=['batch']", "search.space.batch_size=[16,1]")
    assert "training.batch_size = 1 is not allowed; it must be 2 or more" in message


def test_the_published_sampler_is_checked_before_anything_runs() -> None:
    assert "learning_rate is a range" in refused("search.sampler=published")
    assert "below 2**32" in refused("seed=4294967296", recipe="hw3")


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ("title=a=b=c", "a=b=c"),
        ("title=two words", "two words"),
        ('title="quoted"', "quoted"),
        ("title='single'", "single"),
        ('title="un\\"even"', 'un"even'),
        ("title=", ""),
        (" title =x", "x"),
        ("title=#1", "#1"),
        ("title=[unclosed", "[unclosed"),
        ("title=é ✓", "é ✓"),
        pytest.param("title=" + "[" * 5000, "[" * 5000, id="nested"),
        pytest.param("title=" + "1" * 5000, "1" * 5000, id="long number"),
    ],
)
def test_a_change_is_toml_or_a_bare_word(change: str, title: str) -> None:
    assert load_recipe("quick", parse_changes([change])).title == title


def test_changes_reach_every_depth_and_the_last_one_counts() -> None:
    recipe = load_recipe(
        "quick",
        parse_changes(
            [
                "seed=3",
                "search.space={units=[3]}",
                "search.space.epochs={low=2,high=9}",
                "variants.refit.seeds=[4,5]",
                "refit.choice.units=9",
                "refit.choice.units=8",
                "autoencoder.training.epochs=7",
            ]
        ),
    )
    assert recipe.seed == 3
    assert recipe.search.space == {"units": [3], "epochs": Range(low=2, high=9)}
    assert recipe.variants.refit.seeds == [4, 5]
    assert recipe.refit.choice == {"units": 8}
    assert recipe.autoencoder.training.epochs == 7
    assert recipe.autoencoder.training.optimizer == "adam"


@pytest.mark.parametrize("change", ["", "x", "=3", ".a=3", "a.=3", "a..b=3", "search.trials"])
def test_a_change_that_is_no_assignment_is_refused(change: str) -> None:
    assert refused(change).startswith(f"--set {change!r}: write key=value")


@pytest.mark.parametrize("change", ["seed.x=1", "search.trials.x.y=1", "search.space.units.low=1"])
def test_a_key_below_a_value_is_refused(change: str) -> None:
    assert "is a value and has no keys below it" in refused(change)


def keys(struct: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    for field in msgspec.structs.fields(struct):
        found.append(prefix + field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += keys(field.type, f"{prefix}{field.name}.")
    return found


known = st.sampled_from(
    [
        *keys(Recipe),
        "search.settings.units",
        "search.space.units",
        "search.space.learning_rate",
        "refit.choice.dropout",
        "variants.space.activation",
    ]
)
scalars = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.text(),
    st.sampled_from(["true", "nan", "inf", "-inf", "1e999", "''", '"relu"', "2026-01-01", "10:00"]),
)
written = st.one_of(
    scalars,
    st.lists(scalars, max_size=4).map(lambda v: "[" + ", ".join(v) + "]"),
    st.dictionaries(st.sampled_from(["low", "high", "log", "units"]), scalars, max_size=3).map(
        lambda v: "{" + ", ".join(f"{k} = {x}" for k, x in v.items()) + "}"
    ),
)
changes = st.one_of(st.text(), st.tuples(known | st.text(), written).map("=".join))


@given(st.lists(changes, max_size=3))
def test_any_changes_give_a_recipe_or_one_line(given: list[str]) -> None:
    try:
        recipe = load_recipe("quick", parse_changes(given))
    except InputError as error:
        assert str(error).strip()
        assert "\n" not in str(error)
    else:
        assert isinstance(recipe, Recipe)


def test_a_missing_file_names_the_shipped_recipes(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none.toml"), "quik", "", "x" * 5000, "a\0b"):
        assert "shipped recipes: fashion-mnist, hw3, quick" in refused(recipe=name)


def test_a_directory_is_no_recipe(tmp_path: Path) -> None:
    assert "no such file" in refused(recipe=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = ", "not valid TOML"),
        (b"seed = 1\nseed = 2", "not valid TOML"),
        (b"[search\n", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"seed = \x00", "not valid TOML"),
        (b"title = " + b"[" * 5000, "not valid TOML"),
        (b"seed = " + b"1" * 5000, "not valid TOML"),
        (b"seed = 'x'", "seed = 'x' is not allowed"),
        (b"[search]\ntrails = 1", "'search.trails' is not a key"),
    ],
)
def test_a_broken_file_is_one_line_with_its_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    found = refused(recipe=str(path))
    assert found.startswith(str(path))
    assert message in found


def test_a_table_is_not_changed_by_parsing_it(tiny_table: dict[str, Any]) -> None:
    before = msgspec.json.encode(tiny_table)
    parse_recipe(tiny_table, "tiny")
    assert msgspec.json.encode(tiny_table) == before


# Keys that cannot act are refused; None: a key that always acts, or whose default says "off".
WITHOUT_EFFECT: dict[str, list[str] | None] = {
    **dict.fromkeys(keys(Recipe)),
    **{
        f"{part}.{key}": [f"{part}.{change}" for change in changes]
        for part in ("search", "variants")
        for key, changes in {
            "settings": ["settings.epochs=3", "space.epochs=[1,2]"],
            "space": ["settings.hidden_layers=0", "space.units=[3,4]"],
            "conditions": ["conditions.clip_norm='units > 3'"],
            "halving.factor": ["halving.factor=2"],
            "halving.smallest": ["halving.smallest=0.2"],
            "halving.cohort": ["halving.cohort=9"],
            "choice.seeds": ["choice.seeds=4", "choice.top=1"],
            "choice.second": ["choice.second=0.5", "choice.top=1"],
            "choice.folds": ["choice.folds=2", "choice.top=1"],
        }.items()
    },
    "refit.settings": ["refit.settings.epochs=3", "refit.epochs=4"],
    "refit.choice": ["refit.choice.epochs=3", "refit.epochs=4"],
    "variants.refit.settings": ["variants.refit.settings.epochs=3", "variants.refit.epochs=4"],
    "autoencoder.noise.kind": ["autoencoder.noise.kind=masking"],
    "autoencoder.training.momentum": ["autoencoder.training.momentum=0.5"],
    "autoencoder.training.nesterov": ["autoencoder.training.nesterov=true"],
    "autoencoder.training.decay_on": ["autoencoder.training.decay_on=all"],
}


@pytest.mark.parametrize("key", sorted(WITHOUT_EFFECT))
def test_a_key_that_cannot_act_is_refused(key: str) -> None:
    changes = WITHOUT_EFFECT[key]
    if changes is not None:
        message = refused(*changes)
        assert any(word in message for word in ("has no effect", "is not", "must be"))
        assert key.rpartition(".")[2] in message or key.partition(".")[0] in message


@pytest.mark.parametrize(
    "halving", ["method='hyperband',cohort=9", "method='halving',smallest=0.5"]
)
def test_halving_that_cannot_act_is_refused(halving: str) -> None:
    refused(f"search.halving={{{halving}}}")


def test_what_a_user_says_wins_over_a_shipped_recipe() -> None:
    fixed = load_recipe("quick", {"search.settings.epochs": 3}).search
    assert "epochs" not in fixed.space
    assert {s.epochs for s in fixed.proposals(541)} == {3}
    varied = load_recipe("quick", {"variants.space.batch_size": [8, 64]}).variants
    assert "batch_size" not in varied.settings
    assert {s.batch_size for s in varied.proposals(541)} == {8, 64}
