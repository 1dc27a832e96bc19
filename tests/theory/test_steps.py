"""The derivation as a whole: complete, verified, honest when a check fails, and JSON."""

import msgspec
import pytest

from downslope.theory import ASSUMPTIONS, Step, derivation, small_networks
from downslope.theory.verification import Verification


def test_every_step_of_the_assignment_is_there_and_verified():
    steps = derivation()
    assert [step.name for step in steps] == [
        "sum",
        "product",
        "mean",
        "density",
        "symmetry",
        "half",
        "relu",
        "forward",
        "backward",
    ]
    assert all(step.verified is True and step.verification for step in steps)


def test_assumptions_come_from_the_named_set_and_each_is_used():
    used = {name for step in derivation() for name in step.assumptions}
    assert used == set(ASSUMPTIONS)


def test_steps_survive_json():
    steps = derivation()
    assert msgspec.json.decode(msgspec.json.encode(steps), type=list[Step]) == steps


def test_a_failed_check_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        small_networks, "verify_forward_variance", lambda: Verification(False, "growth is 1/2")
    )
    failed = [step for step in derivation() if not step.verified]
    assert [(step.name, step.verification) for step in failed] == [("forward", "growth is 1/2")]


def test_braces_of_the_latex_balance():
    for step in derivation():
        assert step.statement.count("{") == step.statement.count("}")
        assert "$" not in step.statement
