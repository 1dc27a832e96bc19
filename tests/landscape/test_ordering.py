"""The order of saved states: where it is clear it is that of training, else it is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope.errors import InputError
from downslope.landscape.ordering import order_by_step

SAVED = Path("saved")


def order(names: list[str], states: list[dict[str, Any]] | None = None) -> list[str]:
    paths = [SAVED / name for name in names]
    states = states or [{}] * len(names)
    return [path.name for _, path in order_by_step(SAVED, list(zip(paths, states, strict=True)))]


@pytest.mark.parametrize(
    "names",
    [
        ["resnet_epoch1_valloss2.31.pt", "resnet_epoch3_valloss1.09.pt",
         "resnet_epoch10_valloss1.5.pt"],
        ["epoch=0-step=400.ckpt", "epoch=3-step=1200.ckpt", "epoch=12-step=4800.ckpt"],
        ["epoch=3-step=1200.ckpt", "epoch=3-step=1500.ckpt", "epoch=4-step=1600.ckpt"],
        ["epoch0_step99.pt", "epoch1_step99.pt", "epoch10_step99.pt"],
        ["checkpoint-500.pt", "checkpoint-1000.pt", "checkpoint-10000.pt"],
        ["CKPT_9_lr0.01.pt", "CKPT_10_lr0.001.pt", "CKPT_11_lr1e-4.pt"],
        ["2024-01-05_lr0.1_step0.pt", "2023-12-31_lr0.2_step50.pt", "2024-01-01_lr0.1_step7e.pt"],
        ["net-0009.pth", "net-0010.pth", "net-0100.pth"],
        ["net-9.pth", "net-10.pth", "net-100.pth"],
        ["v2_lr0.1_9.pt", "v2_lr0.1_10.pt", "v2_lr0.1_11.pt"],
        ["timestep9.pt", "timestep10.pt", "timestep11.pt"],
        ["2024-01-09.pt", "2024-01-10.pt", "2024-01-11.pt"],
    ],
)  # fmt: skip
def test_names_that_people_give_are_in_the_order_of_training(names: list[str]) -> None:
    by_step = sorted(names, key=lambda name: names.index(name))
    if "step7e" in names[-1]:  # written in another order, so that it is no accident
        by_step = [names[0], names[2], names[1]]
    assert order(names) == order(names[::-1]) == by_step


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["a_1_0.9.pt", "a_2_0.8.pt"], r"number 2 of each name a_1_0.9.pt, a_2_0.8.pt|not clear"),
        (["2024-01-31.pt", "2024-02-01.pt"],
         "by number 2 of each name 2024-01-31.pt, 2024-02-01.pt; by number 3 of each name "
         "2024-02-01.pt, 2024-01-31.pt"),
        (["epoch1_step90.pt", "epoch2_step10.pt"],
         'by the number after "step" epoch2_step10.pt, epoch1_step90.pt; by the number after '
         '"epoch" epoch1_step90.pt, epoch2_step10.pt'),
        (["step100.pt", "epoch3.pt"], "step100.pt is named by .* epoch3.pt by"),
        (["a1.pt", "a1_2.pt"], "a1.pt and a1_2.pt hold different counts of numbers"),
        (["loss0.9.pt", "loss0.8.pt"], "0.[89] is no step"),
        (["first.pt", "step2.pt"], "first.pt: no step in it and no number in its name"),
        (["step5_a.pt", "step5_b.pt"], "step5_b.pt: step 5 .* as step5_a.pt; each step only once"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_clear_is_refused_with_its_readings(
    names: list[str], match: str
) -> None:
    for shown in (names, names[::-1]):
        with pytest.raises(InputError, match=match) as refusal:
            order(shown)
        assert "step-100.pt" in str(refusal.value)


def test_what_the_files_hold_comes_before_their_names() -> None:
    names = ["a-3.pt", "a-2.pt", "a-1.pt"]
    steps = [10, 20, 30]
    assert order(names, [{"global_step": step, "epoch": 0} for step in steps]) == names
    assert order(names, [{"iteration": torch.tensor(step)} for step in steps]) == names
    assert order(names, [{"epoch": float(step)} for step in steps]) == names
    # Neither a count that stands still nor one that a file lacks is an order.
    assert order(names, [{"epoch": 0}] * 3) == names[::-1]
    assert order(names, [{"step": 1}, {}, {"step": 2}]) == names[::-1]
    with pytest.raises(InputError, match=r'by "step" in the files a-2.*; by "epoch" in the files'):
        order(names, [{"step": 9, "epoch": 1}, {"step": 2, "epoch": 2}, {"step": 3, "epoch": 3}])


WORDS = ["step", "Step=", "global_step-", "epoch", "EPOCH_", "epoch=", "checkpoint-", "ckpt_"]


@settings(max_examples=50)
@given(
    word=st.sampled_from(WORDS),
    steps=st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True),
    losses=st.lists(st.integers(0, 999), min_size=6, max_size=6),
    before=st.sampled_from(["", "net_", "resnet18-", "2024-01-02_", "lr0.01."]),
    padding=st.integers(0, 8),
)
def test_the_number_after_a_word_is_the_order_whatever_else_varies(
    word: str, steps: list[int], losses: list[int], before: str, padding: int
) -> None:
    names = [
        f"{before}{word}{step:0{padding}}_loss{loss / 100}.pt"
        for step, loss in zip(steps, losses, strict=False)
    ]
    assert order(names) == [names[steps.index(step)] for step in sorted(steps)]


@settings(max_examples=50)
@given(
    steps=st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True),
    constant=st.sampled_from(["v2_", "2024-01-02_", "lr0.01_", "", "run"]),
    padding=st.integers(0, 8),
)
def test_the_only_number_that_varies_is_the_order(
    steps: list[int], constant: str, padding: int
) -> None:
    names = [f"{constant}{step:0{padding}}.pt" for step in steps]
    assert order(names) == [names[steps.index(step)] for step in sorted(steps)]
