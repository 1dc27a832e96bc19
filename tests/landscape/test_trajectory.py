import numpy as np
import pytest
import torch
from torch import nn

from downslope.engines import Snapshot
from downslope.errors import InputError
from downslope.landscape import Trajectory


def test_a_recorded_vector_is_torchs_and_does_not_move_with_the_module() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.PReLU(), nn.Linear(4, 2))
    before = nn.utils.parameters_to_vector(module.parameters()).detach().numpy().copy()
    trajectory = Trajectory()
    trajectory.record(module, step=0, loss=2.0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    trajectory.record(module, step=3, loss=1.0)
    assert np.array_equal(trajectory.vectors[0], before)
    assert np.array_equal(trajectory.vectors[1], before + 1)
    assert (trajectory.steps, trajectory.losses, len(trajectory)) == ([0, 3], [2.0, 1.0], 2)


@pytest.mark.parametrize("step", [3, 2, -1])
def test_steps_must_increase(step: int) -> None:
    trajectory = Trajectory()
    trajectory.add(np.zeros(2, np.float32), step=3, loss=0.0)
    with pytest.raises(InputError, match=f"step {step} comes after step 3"):
        trajectory.add(np.zeros(2, np.float32), step=step, loss=0.0)
    assert len(trajectory) == 1


def test_all_vectors_must_be_of_one_module() -> None:
    trajectory = Trajectory()
    trajectory.add(np.zeros(2, np.float32), step=0, loss=0.0)
    with pytest.raises(InputError, match="3 parameters at step 1, 2 before"):
        trajectory.add(np.zeros(3, np.float32), step=1, loss=0.0)
    assert len(trajectory) == 1


def test_an_engines_snapshots_are_collected_in_order() -> None:
    snapshots = [
        Snapshot(step=s, loss=s / 2, parameters=np.full(3, s, np.float32)) for s in (1, 5, 6)
    ]
    trajectory = Trajectory.of(snapshots)
    assert (trajectory.steps, trajectory.losses) == ([1, 5, 6], [0.5, 2.5, 3.0])
    assert trajectory.vectors.tolist() == [[1] * 3, [5] * 3, [6] * 3]


def test_an_empty_trajectory_has_no_vectors() -> None:
    assert (len(Trajectory.of([])), Trajectory().vectors.shape) == (0, (0, 0))
