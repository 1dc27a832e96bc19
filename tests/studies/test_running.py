"""A small study through the public interface: its directory, resumption, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from downslope import InputError
from downslope.engines import instruction_sets
from downslope.progress import drain
from downslope.runs import Run
from downslope.statistics import effect, verdict_of
from downslope.studies import StudyResult, Trainability, run_study

pytestmark = pytest.mark.skipif(not instruction_sets(), reason="needs the compiled engine")

SMALL = Trainability(size=32, start_size=32, examples=16, steps=40, seeds=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "map"
    drain(run_study(SMALL, Run(path)))
    return path


def test_a_study_leaves_its_record_figures_and_pages(folder: Path) -> None:
    result = StudyResult.from_bytes((folder / "study.json").read_bytes())
    assert result.verdict in ("reproduced", "not reproduced", "undecided")
    [effect] = result.effects
    assert effect.interval[0] < effect.estimate < effect.interval[1]
    assert effect.verdict == result.verdict
    page = (folder / "study.html").read_text("utf-8")
    assert result.verdict.capitalize() in page
    assert "cannot be drawn" not in page
    assert (folder / "study.pdf").read_bytes().startswith(b"%PDF")
    lines = (folder / "figures/study-map.csv").read_text().splitlines()
    assert len(lines) == 33
    assert all(line.count(",") == 32 for line in lines)


def test_the_map_says_what_a_loop_of_pytorch_says(folder: Path) -> None:
    lines = (folder / "figures/study-map.csv").read_text().splitlines()
    hidden_rate = float(lines[0].split(",")[1])
    output_rate, measure = map(float, lines[1].split(",")[:2])
    task = SMALL.start(0)
    inputs, targets = torch.from_numpy(task.inputs), torch.from_numpy(task.targets)
    first, second = (torch.tensor(w, requires_grad=True) for w in (task.first, task.second))
    losses: list[float] = []
    for _ in range(SMALL.steps):
        loss = ((torch.tanh(inputs @ first.T) @ second / 16 - targets) ** 2).mean()
        slopes = torch.autograd.grad(loss, [first, second])
        with torch.no_grad():
            first -= hidden_rate * slopes[0]
            second -= output_rate * slopes[1]
        losses.append(
            loss.item() / (losses[0] if losses else loss.item()) if losses else loss.item()
        )
    relative = np.array([1.0, *losses[1:]])
    assert relative[-20:].mean() < 1
    assert measure == pytest.approx(-relative.sum(), rel=1e-3)  # as many digits as the CSV has


def test_what_is_there_is_not_computed_again_and_damage_is(folder: Path) -> None:
    before = StudyResult.from_bytes((folder / "study.json").read_bytes())
    whole = (folder / "parts/map-03.npz").read_bytes()
    (folder / "parts/map-03.npz").write_bytes(whole[:-1])
    after = drain(run_study(SMALL, Run(folder)))
    changed = {k for k in after.core_seconds if after.core_seconds[k] != before.core_seconds[k]}
    assert changed == {"map-03"}
    assert (folder / "parts/map-03.npz").read_bytes() == whole
    assert after.effects == before.effects


def test_another_study_is_refused_with_the_setting_that_differs(folder: Path) -> None:
    other = Trainability(size=32, start_size=32, examples=16, steps=50, seeds=3)
    with pytest.raises(InputError, match=r"settings\.steps = 40 there, 50 here"):
        drain(run_study(other, Run(folder)))


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files but no study"):
        drain(run_study(SMALL, Run(tmp_path)))


def test_one_effect_refutes_a_claim_and_all_must_hold() -> None:
    holds = effect("a", [1.1, 1.2, 1.3], "above", 0.5)
    open_ = effect("b", [0.9, 1.2, 1.3], "above", 1.0)
    refuted = effect("c", [1.1, 1.2, 1.3], "below", 0.5)
    assert verdict_of([holds, holds]) == "reproduced"
    assert verdict_of([holds, open_]) == "undecided"
    assert verdict_of([holds, open_, refuted]) == "not reproduced"


def test_a_rectangle_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="rectangle = "):
        Trainability(rectangle=(3.0, 2.0, 0.0, 1.0))
