"""What a run's files hold comes back from them, or is refused by name."""

import io
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import numpy as safetensors

from downslope.errors import InputError
from downslope.recipes import STAGES, Recipe, load_recipe
from downslope.results import Results
from downslope.runs import Run
from downslope.toml import write_toml

some_arrays = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=5),
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)


once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for name, array in one.items():
        assert other[name].dtype == array.dtype
        assert other[name].shape == array.shape
        assert other[name].tobytes() == array.tobytes()


@once
@given(some_arrays)
def test_arrays_come_back(tmp_path: Path, held: dict[str, Any]) -> None:
    run = Run(tmp_path)
    run.write_arrays("a/b.npz", held)
    same(held, run.read_arrays("a/b.npz"))
    if held:
        with np.load(tmp_path / "a" / "b.npz", allow_pickle=False) as theirs:
            same(held, dict(theirs))


@once
@given(some_arrays)
def test_weights_come_back(tmp_path: Path, held: dict[str, Any]) -> None:
    run = Run(tmp_path)
    run.write_weights("w.safetensors", held)
    same(held, run.read_weights("w.safetensors"))
    same(held, safetensors.load_file(tmp_path / "w.safetensors"))


def test_arrays_that_are_not_contiguous_come_back_as_they_look(tmp_path: Path) -> None:
    run, turned = Run(tmp_path), np.arange(6.0).reshape(2, 3).T
    run.write_weights("w.safetensors", {"a": turned})
    run.write_arrays("a.npz", {"a": turned})
    assert run.read_weights("w.safetensors")["a"].tolist() == turned.tolist()
    assert run.read_arrays("a.npz")["a"].tolist() == turned.tolist()


def test_an_array_of_objects_is_never_pickled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        Run(tmp_path).write_arrays("a.npz", {"a": np.array([{}], object)})
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def npz(**held: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **held)
    return buffer.getvalue()


GOOD = npz(a=np.arange(50.0))


DAMAGED = {
    "nothing": b"",
    "text": b"hello",
    "half": GOOD[: len(GOOD) // 2],
    "no directory": GOOD[:-30],
    "a flipped byte": GOOD[:200] + bytes([GOOD[200] ^ 255]) + GOOD[201:],
    "one array": npz(a=1)[:4] + b"garbage" * 9,
    "a pickle": npz(a=np.array([{}], object)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_arrays_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: missing or damaged"):
        Run(tmp_path).read_arrays("a.npz")


def test_a_lone_npy_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a\.npz: missing or damaged"):
        Run(tmp_path).read_arrays("a.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100, None])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors: missing or damaged"):
        Run(tmp_path).read_weights("w.safetensors")


@pytest.mark.parametrize("keep", [4, 20, 100, -1])
def test_truncated_weights_are_refused_by_name(tmp_path: Path, keep: int) -> None:
    run = Run(tmp_path)
    run.write_weights("w.safetensors", {"a": np.arange(50.0)})
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"w\.safetensors: missing or damaged"):
        run.read_weights("w.safetensors")


def test_results_come_back_to_the_same_bytes(copied: Run) -> None:
    before = (copied.path / "results.json").read_bytes()
    copied.commit(copied.read_results(), [])
    assert (copied.path / "results.json").read_bytes() == before


def check(value: Any, schema: dict[str, Any], whole: dict[str, Any], where: str) -> None:
    """Follow a JSON schema as msgspec makes it; enough of the standard for results.json."""
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        errors: list[AssertionError] = []
        for one in schema["anyOf"]:
            try:
                return check(value, one, whole, where)
            except AssertionError as error:
                errors.append(error)
        raise errors[-1]
    if "enum" in schema:
        assert value in schema["enum"], where
        return None
    kind = schema.get("type")
    python = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if kind is not None:
        assert isinstance(value, python[kind]), f"{where}: {value!r} is no {kind}"
        assert isinstance(value, bool) <= (kind == "boolean"), where
    if kind == "object" and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value), where
        assert set(value) <= set(schema["properties"]), where
        for name, below in value.items():
            check(below, schema["properties"][name], whole, f"{where}.{name}")
    if kind == "array":
        fixed = schema.get("prefixItems", [])
        for i, below in enumerate(value):
            item = fixed[i] if i < len(fixed) else schema.get("items", {})
            if item:
                check(below, item, whole, f"{where}[{i}]")
    return None


def test_results_conform_to_their_schema(finished: Run) -> None:
    value = msgspec.json.decode((finished.path / "results.json").read_bytes())
    whole = msgspec.json.schema(Results)
    check(value, whole, whole, "results")
    with pytest.raises(AssertionError, match=r"results\.search"):
        check(value | {"search": 3}, whole, whole, "results")


def test_results_have_the_keys_that_were_promised(finished: Run) -> None:
    value = msgspec.json.decode((finished.path / "results.json").read_bytes())
    top = "schema recipe data theory search refit variants landscape joint_landscape "
    top += "trials_landscape autoencoder test_set seconds"
    assert set(value) == set(top.split())
    assert value["schema"] == "downslope.results/2"
    assert {"member", "outcome", "validation_accuracy", "seconds"} <= set(
        value["search"]["trials"][0]
    )
    assert value["search"]["best"] in value["search"]["trials"]
    assert {"epoch", "train_loss", "test_accuracy"} <= set(value["refit"]["epochs"][0])
    assert {"mean", "per_seed", "interval"} <= set(value["refit"]["test_accuracy"])
    assert "explained_variance" in value["landscape"]
    (run,) = value["landscape"]["runs"]
    assert {"label", "path", "share"} == set(run)
    of_point = "step x y true_loss projected_loss residual standard_error true_accuracy "
    of_point += "projected_accuracy validation_loss projected_validation_loss "
    of_point += "validation_accuracy projected_validation_accuracy"
    assert set(run["path"][0]) == set(of_point.split())
    assert {"parameters", "epochs", "test_mse", "pca_test_mse"} <= set(value["autoencoder"])
    assert {"name", "expected", "measured", "interval", "verdict"} <= set(
        value["theory"]["checks"][0]
    )
    assert set(value["test_set"]["openings"][0]) == {"reason"}
    assert list(value["seconds"]) == list(STAGES)


def test_a_file_of_the_schema_before_is_read_by_its_old_keys(copied: Run) -> None:
    path = copied.path / "results.json"
    today, content = copied.read_results(), path.read_text(encoding="utf-8")
    old = content.replace('"downslope.results/2"', '"downslope.results/1"')
    for key, before in {
        "selection_bias": "optimism",
        "selection_bias_interval": "optimism_interval",
        "ablations": "rivals",
        "batch_norm": "statistics",
    }.items():
        assert f'"{key}": ' in old
        old = old.replace(f'"{key}": ', f'"{before}": ')
    path.write_text(old, encoding="utf-8")
    assert copied.read_results() == today
    assert '"statistics": "recomputed"' in old
    kept = old.replace('"statistics": "recomputed"', '"statistics": "kept"')
    path.write_text(kept, encoding="utf-8")
    assert copied.read_results().recipe.landscape.batch_norm == "frozen"
    path.write_text(old.replace("results/1", "results/2"), encoding="utf-8")
    with pytest.raises(InputError, match="damaged or of another version"):
        copied.read_results()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"schema": "downslope.results/0"}', b"\xff\xfe"]
)
def test_damaged_results_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(InputError, match=r"results\.json: damaged or of another version"):
        Run(tmp_path).read_results()


def test_an_unknown_key_in_results_is_refused(copied: Run) -> None:
    path = copied.path / "results.json"
    path.write_bytes(path.read_bytes().replace(b"{", b'{"autoencode": null,', 1))
    with pytest.raises(InputError, match="damaged or of another version"):
        copied.read_results()


def test_a_directory_without_results_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        Run(tmp_path).read_results()
    with pytest.raises(InputError, match="holds no run"):
        Run(tmp_path / "nowhere").read_results()


def test_the_recipe_written_runs_again_as_the_same(finished: Run, tiny_recipe: Recipe) -> None:
    assert load_recipe(str(finished.path / "recipe.toml")) == tiny_recipe


def written(folder: Path, recipe: Recipe | dict[str, Any]) -> None:
    (folder / "recipe.toml").write_text(write_toml(recipe), "utf-8")


@pytest.mark.parametrize("name", ["fashion-mnist", "hw3", "quick"])
def test_a_shipped_recipe_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    recipe = load_recipe(name)
    written(tmp_path, recipe)
    again = load_recipe(str(tmp_path / "recipe.toml"))
    assert again == recipe
    # The order of a space decides what is drawn.
    assert list(again.search.space) == list(recipe.search.space)
    assert again.search.proposals(3) == recipe.search.proposals(3)


ranges = st.tuples(st.integers(1, 9), st.booleans()).map(
    lambda t: {"low": t[0], "high": t[0] + 0.5, "log": t[1]}
)


orders = st.permutations(["units", "epochs", "dropout", "learning_rate", "weight_decay"])


@once
@given(
    orders, st.lists(ranges, min_size=5, max_size=5), st.lists(st.booleans(), min_size=5), st.text()
)
def test_a_space_is_written_in_its_own_order(
    tmp_path: Path, names: list[str], drawn: list[Any], lists: list[bool], title: str
) -> None:
    values = [[1, 2] if plain else one for one, plain in zip(drawn, lists, strict=False)]
    space = dict(zip(names, values, strict=False))
    table = {
        "title": title,
        "search": {"space": space, "settings": {}, "trials": 3},
        "data": {"name": title, "label": None},
    }
    written(tmp_path, table)
    again = tomllib.loads((tmp_path / "recipe.toml").read_text("utf-8"))
    assert again == {**table, "data": {"name": title}}
    assert list(again["search"]["space"]) == list(space)


def test_results_of_an_earlier_version_are_read_with_the_defaults_of_new_keys(copied: Run) -> None:
    path = copied.path / "results.json"
    table = msgspec.json.decode(path.read_bytes())
    before = copied.read_results()
    for part, name in (("data", "kind"), ("landscape", "trials"), ("search", "choice")):
        del table["recipe"][part][name]
    path.write_bytes(msgspec.json.encode(table))
    assert copied.read_results().recipe == before.recipe
    table["recipe"]["search"]["trials"] = 0
    path.write_bytes(msgspec.json.encode(table))
    with pytest.raises(InputError, match=r"results.json: damaged or of another version .*trials"):
        copied.read_results()
