"""Every assumption has a counter-example, recomputed here by other means; every mutation falls."""

import math
import re

import msgspec
import numpy as np
import pytest
from scipy import integrate, stats

from downslope.theory import ASSUMPTIONS, counterexamples, derivation, mutations, refutations
from downslope.theory.refutations import CounterExample, Mutation
from downslope.theory.verification import Verification


def test_each_assumption_is_dropped_and_breaks_the_step_that_names_it():
    steps = {step.name: step for step in derivation()}
    found = counterexamples()
    assert [one.assumption for one in found if not one.breaks] == []
    assert {one.assumption for one in found} == set(ASSUMPTIONS)
    for one in found:
        assert one.assumption in steps[one.step].assumptions


def values(text: str) -> float:
    """The number at the end of a LaTeX equation."""
    end = text.rsplit("=", 1)[1].strip()
    fraction = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", end)
    return int(fraction[1]) / int(fraction[2]) if fraction else float(end)


@pytest.mark.parametrize(
    ("assumption", "samples", "claimed"),
    [
        ("weights independent of inputs", lambda w, v, x: w * (1 + w), 2.0),
        ("zero-mean weights", lambda w, v, x: (w + 1) / 2 * x, 10 / 12),
        ("uncorrelated weights", lambda w, v, x: w + w, 2.0),
        ("equal second moments", lambda w, v, x: w + 3 * v, 2.0),
    ],
)
def test_variances_are_those_of_a_sample(assumption, samples, claimed):
    random = np.random.default_rng(541)
    w, v = random.choice([-1.0, 1.0], (2, 400_000))
    x = random.choice([0.0, 1.0, 3.0], 400_000)
    (one,) = (e for e in counterexamples() if e.assumption == assumption)
    assert values(one.found) == pytest.approx(samples(w, v, x).var(), rel=0.01)
    assert values(one.claimed) == pytest.approx(claimed)


def test_two_over_e_and_the_leaky_share_by_quadrature():
    upper, _ = integrate.quad(lambda z: z**2 * math.exp(-z - 1), 0, math.inf)
    assert upper == pytest.approx(2 / math.e)
    leaky, _ = integrate.quad(
        lambda z: (z if z > 0 else 0.3 * z) ** 2 * stats.norm.pdf(z), -20, 20, points=[0]
    )
    assert leaky == pytest.approx((1 + 0.3**2) / 2)


def test_a_relu_of_a_normal_has_pi_over_pi_minus_one():
    x = np.maximum(np.random.default_rng(541).normal(size=1_000_000), 0)
    assert (x**2).mean() / x.var() == pytest.approx(math.pi / (math.pi - 1), rel=0.01)
    (one,) = (e for e in mutations() if e.step == "product")
    assert "pi/(-1 + pi)" in one.verification or "pi/(pi - 1)" in one.verification


def test_every_mutation_is_refuted_by_the_check_of_its_step():
    found = mutations()
    assert [one.title for one in found if not one.refuted] == []
    assert {one.step for one in found} <= {step.name for step in derivation()}
    statements = [one.statement for one in found]
    for formula in ("1/n", "2/n^2", "2/(n + m)"):
        assert any(formula in statement for statement in statements)


def test_a_check_that_lets_a_mutation_pass_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        refutations.small_networks,
        "verify_forward_variance",
        lambda claim: Verification(True, "asleep"),
    )
    assert sum(not one.refuted for one in mutations()) == 3


def test_they_survive_json():
    for found, kind in ((counterexamples(), CounterExample), (mutations(), Mutation)):
        assert msgspec.json.decode(msgspec.json.encode(found), type=list[kind]) == found
        assert all(text.count("{") == text.count("}") for text in map(repr, found))
