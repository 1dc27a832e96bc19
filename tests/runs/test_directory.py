import hashlib
import io
import os
import re
import shutil
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

from downslope.engines import hardware, versions
from downslope.errors import InputError
from downslope.recipes import Recipe, load_recipe
from downslope.results import Results
from downslope.runs import Run
from downslope.toml import write_toml


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


# Directories


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    run = Run(tmp_path / "a" / "b")
    run.prepare()
    assert run.path.is_dir()
    assert contents(run.path) == {}
    assert not run.exists


def test_a_directory_with_foreign_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds files but no run"):
        Run(tmp_path).prepare()
    assert contents(tmp_path) == {"thesis.tex": b"mine"}


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_place_of_a_directory_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"cannot be written .*choose a directory that can"):
        Run(tmp_path / "file" / below).prepare()
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place nobody can write")
def test_a_place_that_nobody_can_write_is_refused() -> None:
    with pytest.raises(InputError, match=r"/proc/run: cannot be written"):
        Run(Path("/proc/run")).prepare()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            Run(tmp_path).prepare()
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("function", ["iterdir", "mkdir"])
def test_a_directory_without_permission_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, function, denied)
        with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
            Run(tmp_path).prepare()


def test_a_file_in_place_of_a_folder_of_the_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "refit").write_text("a file")
    with pytest.raises(InputError, match=r"refit: cannot be made"):
        Run(tmp_path).write("refit/weights", b"")


# Arrays and weights

some_arrays = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=5),
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    max_size=4,
)
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


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
    assert contents(tmp_path) == {}


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


# Results, recipe, manifest


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
    assert list(value["seconds"]) == [
        "theory", "search", "refit", "variants", "landscape", "autoencoder",
    ]  # fmt: skip


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


def test_the_manifest_lists_every_file_with_its_digest(finished: Run) -> None:
    manifest = finished.read_manifest()
    results = finished.read_results()
    assert manifest is not None
    expected = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in contents(finished.path).items()
        if name not in ("manifest.json", ".lock")
    }
    assert manifest.files == expected
    assert set(expected) == {
        "autoencoder/images.npz",
        "autoencoder/weights.safetensors",
        "landscape/joint.npz",
        "landscape/surface.npz",
        "recipe.toml",
        "refit/predictions.npz",
        "refit/seed-7.safetensors",
        "refit/seed-8.safetensors",
        "refit/seeds.npz",
        "refit/trajectory.npz",
        "results.json",
        "search/choice.sqlite",
        "search/trials.sqlite",
        "variants/choice.sqlite",
        "variants/predictions.npz",
        "variants/seed-7.safetensors",
        "variants/seed-8.safetensors",
        "variants/trials.sqlite",
    }
    assert (manifest.seed, manifest.seconds) == (7, results.seconds)
    assert manifest.data_sha256 == results.data.sha256
    assert manifest.versions == versions()
    assert manifest.hardware == hardware()


def test_a_missing_manifest_is_none(tmp_path: Path) -> None:
    assert Run(tmp_path).read_manifest() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
def test_a_damaged_manifest_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        Run(tmp_path).read_manifest()


# Damage


def names(run: Run) -> list[str]:
    return [name for name in contents(run.path) if name != ".lock"]


def test_one_flipped_bit_in_any_file_is_named(copied: Run) -> None:
    for name in names(copied):
        path = copied.path / name
        whole = path.read_bytes()
        for at in sorted({0, len(whole) // 3, len(whole) // 2, len(whole) - 1}):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            if name == "recipe.toml":  # built from results.json
                assert copied.damaged() == [name]
                copied.check()
            else:
                with pytest.raises(InputError, match=re.escape(name)):
                    copied.check()
        path.write_bytes(whole)
    assert copied.damaged() == []


def test_a_file_that_is_gone_is_named(copied: Run) -> None:
    for name in ("refit/trajectory.npz", "results.json", "manifest.json"):
        whole = (copied.path / name).read_bytes()
        (copied.path / name).unlink()
        with pytest.raises(InputError, match=re.escape(name)):
            copied.check()
        (copied.path / name).write_bytes(whole)


def test_a_kill_between_manifest_and_results_is_no_damage(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = copied.read_results()
    results.landscape = None
    del results.seconds["landscape"]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            copied.commit(results, [])
    assert Run(copied.path).damaged() == []
    assert "landscape" in copied.read_results().seconds
    copied.commit(results, [])
    # A third state is none of the two.
    content = (copied.path / "results.json").read_bytes()
    (copied.path / "results.json").write_bytes(content.replace(b"tiny", b"tidy"))
    assert copied.damaged() == ["results.json"]


# Links, and what else leads out of a run


def linked(run: Run, name: str) -> Path:
    """Put a link in the place of a file or folder of a run, and return what it leads to."""
    place = run.path / name
    outside = run.path.parent / "outside" / name
    outside.parent.mkdir(parents=True, exist_ok=True)
    place.rename(outside)
    place.symlink_to(outside)
    return outside


def test_a_link_in_the_place_of_any_file_or_folder_is_followed_by_nobody(copied: Run) -> None:
    folders = {Path(name).parent.as_posix() for name in names(copied)} - {"."}
    copied.write("figures/curves.svg", b"drawn")
    copied.refresh_manifest()
    for name in [*names(copied), *folders, "figures"]:
        outside = linked(copied, name)
        before = contents(outside.parent)
        below = f"{name}/below" if outside.is_dir() else name
        for action in (
            lambda below=below: copied.write(below, b"written"),
            lambda below=below: copied.file(below),
            copied.damaged,
            copied.check,
        ):
            with pytest.raises(InputError, match=rf"{re.escape(name)}: is a link"):
                action()
        assert contents(outside.parent) == before
        (copied.path / name).unlink()
        outside.rename(copied.path / name)
    assert copied.damaged() == []


def test_a_lock_that_is_a_link_empties_no_file(copied: Run) -> None:
    precious = copied.path.parent / "precious"
    precious.write_text("mine")
    for make in (Path.symlink_to, Path.hardlink_to):
        (copied.path / ".lock").unlink(missing_ok=True)
        make(copied.path / ".lock", precious)
        with pytest.raises(InputError, match=r"\.lock: is "), copied.locked():
            pass
    assert precious.read_text() == "mine"


def test_a_lock_that_is_a_pipe_waits_for_nobody(copied: Run) -> None:
    (copied.path / ".lock").unlink(missing_ok=True)
    os.mkfifo(copied.path / ".lock")
    with pytest.raises(InputError, match=r"\.lock: is neither"), copied.locked():
        pass


def test_a_run_whose_directory_is_a_link_is_one_like_any_other(copied: Run) -> None:
    link = copied.path.parent / "link"
    link.symlink_to(copied.path)
    run = Run(link)
    run.prepare()
    with run.locked():
        run.commit(run.read_results(), [])
    assert run.damaged() == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../precious", "refit/../../precious", ""])
def test_a_manifest_that_names_files_elsewhere_is_refused(copied: Run, name: str) -> None:
    manifest = copied.read_manifest()
    assert manifest is not None
    files = manifest.files | {name: "0" * 64}
    changed = msgspec.structs.replace(manifest, files=files)
    (copied.path / "manifest.json").write_bytes(changed.to_bytes())
    with pytest.raises(InputError, match="is the name of no file in it"):
        copied.damaged()


def test_a_directory_that_was_removed_is_not_made_again(copied: Run) -> None:
    copied.prepare()
    copied.write("refit/new.bin", b"abc")
    other = copied.path.parent / "other"
    other.mkdir()
    shutil.rmtree(copied.path)
    for again in (False, True):
        if again:  # somebody else's, under the same name
            other.rename(copied.path)
            (copied.path / "thesis.tex").write_text("mine")
        with pytest.raises(InputError, match="was removed or replaced"):
            copied.write("refit/new.bin", b"abc")
        assert copied.path.exists() == again
    assert contents(copied.path) == {"thesis.tex": b"mine"}


@pytest.mark.parametrize("below", ["", "a/b/"])
def test_a_name_that_is_too_long_is_refused_before_anything_is_made(
    tmp_path: Path, below: str
) -> None:
    run = Run(tmp_path / f"{below}{'n' * 300}")
    assert not run.exists
    with pytest.raises(InputError, match=r"File name too long\); choose a shorter name"):
        run.prepare()
    deep = Run(tmp_path.joinpath(*["n" * 200] * 20))  # has no room for a file below it
    with pytest.raises(InputError, match="File name too long"):
        deep.prepare()
    assert contents(tmp_path) == {} and list(tmp_path.iterdir()) == []


def test_files_of_an_unfinished_stage_may_be_anything(copied: Run) -> None:
    results = copied.read_results()
    results.landscape = None
    del results.seconds["landscape"]
    copied.commit(results, ["landscape"])
    (copied.path / "landscape" / "surface.npz").write_bytes(b"half")
    assert copied.damaged() == []


def test_a_sweep_removes_what_killed_writes_left_and_no_more(copied: Run) -> None:
    before = contents(copied.path)
    (copied.path / ".results.json.x1y2.part").write_bytes(b"half")
    (copied.path / "refit" / ".seed-7.safetensors.x1y2.part").write_bytes(b"half")
    copied.sweep()
    assert contents(copied.path) == before


def test_what_is_written_is_hashed_once_and_nothing_is_read_again(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_results(path: Path) -> str:
        assert path.name == "results.json", f"{path} is hashed again"
        return "0" * 64

    monkeypatch.setattr("downslope.runs.directory.sha256_of", only_results)
    copied.write("refit/new.bin", b"abc")
    copied.commit(copied.read_results(), [])
    manifest = copied.read_manifest()
    assert manifest is not None
    assert manifest.files["refit/new.bin"] == hashlib.sha256(b"abc").hexdigest()


def test_the_recipe_written_runs_again_as_the_same(finished: Run, tiny_recipe: Recipe) -> None:
    assert load_recipe(str(finished.path / "recipe.toml")) == tiny_recipe


def written(folder: Path, recipe: Recipe | dict[str, Any]) -> None:
    (folder / "recipe.toml").write_text(write_toml(recipe), "utf-8")


def test_a_changed_recipe_file_is_written_again(copied: Run) -> None:
    before = contents(copied.path)["recipe.toml"]
    (copied.path / "recipe.toml").write_text("seed = 8")
    copied.commit(copied.read_results(), [])
    assert contents(copied.path)["recipe.toml"] == before


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
