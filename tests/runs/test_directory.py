import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from downslope.engines import hardware, versions
from downslope.errors import InputError
from downslope.runs import Run


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


# Manifest


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
        "model/model.json",
        "model/rows.safetensors",
        "model/seed-7.safetensors",
        "model/seed-8.safetensors",
        "refit/predictions.npz",
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


def test_a_changed_recipe_file_is_written_again(copied: Run) -> None:
    before = contents(copied.path)["recipe.toml"]
    (copied.path / "recipe.toml").write_text("seed = 8")
    copied.commit(copied.read_results(), [])
    assert contents(copied.path)["recipe.toml"] == before
