"""Memory is estimated before a training, and compared with what a training takes."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downslope import Examples, InputError, Member, NetworkSpec, TrainingSpec
from downslope.engines import memory, memory_here, memory_of, train

ROWS = Examples(np.zeros((64, 8), np.float32), np.zeros(64, np.int64))


def member(units: int, **training: Any) -> Member:
    return Member(
        network=NetworkSpec(widths=(8, units, units, 2)),
        training=TrainingSpec(**training),
        seed=1,
    )


@pytest.mark.parametrize(
    ("one", "options", "named"),
    [
        (member(2**20), {}, r"lower widths = 8-1048576-1048576-2 \(units, hidden_layers\)"),
        (member(300, epochs=10**6), {"snapshots_per_epoch": 9}, "lower snapshots_per_epoch = 9"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_setting(
    one: Member, options: dict[str, int], named: str
) -> None:
    with pytest.raises(InputError, match=rf"memory: the training needs about .* GiB.*{named}"):
        train([one], ROWS, **options)


def test_side_by_side_may_be_too_much_where_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = member(500)
    monkeypatch.setattr(memory, "memory_here", lambda: 2 * sum(memory_of(one, 64).values()))
    with pytest.raises(InputError, match="lower threads = 4"):
        train([one] * 4, ROWS, threads=4)
    train([one] * 4, ROWS, threads=2)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_estimate_is_near_what_a_training_takes(optimizer: str) -> None:
    def status(name: str) -> int:
        line = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
        assert line is not None
        return 1024 * int(line[1])

    one = member(3000, optimizer=optimizer, epochs=2)  # 36 MB of parameters
    list(train([member(10, optimizer=optimizer, epochs=2)], ROWS, threads=1))
    Path("/proc/self/clear_refs").write_text("5")  # the most that was resident is counted anew
    before = status("VmRSS")
    list(train([one], ROWS, threads=1))
    taken, estimate = status("VmHWM") - before, sum(memory_of(one, 64).values())
    assert estimate / 1.5 < taken < estimate * 1.5
    assert memory_here() > estimate
