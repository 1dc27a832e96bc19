"""What of the theory depends on no data: worked out once for an installation, then read back."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from downslope.engines.environment import fingerprint
from downslope.files import keep, key_of, read_kept
from downslope.progress import Progress, Steps
from downslope.showing import Shown
from downslope.theory.activations import ACTIVATIONS
from downslope.theory.gains import Gain, compute_gain
from downslope.theory.refutations import CounterExample, Mutation, counterexamples, mutations
from downslope.theory.steps import Step, derivation
from downslope.theory.variance_map import edge_of_chaos

FILE: Final = "theory.json"
"""The name of the result in the program's cache."""


class Analysis(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The verified derivation, and the gains of the activations known by name.

    Args:
        steps: the derivation, each step with its verdict.
        counterexamples: one or more for each assumption.
        mutations: wrong formulas, each with the verdict of the step's check.
        gains: of the activations known by name.
        edges: n Var[w] between order and chaos by activation, without biases; None without edge.
    """

    steps: list[Step]
    counterexamples: list[CounterExample]
    mutations: list[Mutation]
    gains: list[Gain]
    edges: dict[str, float | None]


def analyse() -> Steps[Analysis]:
    """Verify the derivation and compute the gains, or read what this installation found before.

    The result is kept in the user's cache with its digest, under a key made of the source of this
    package and the versions that compute. One of another key, or a damaged one, is worked out
    again; a cache that cannot be written is done without.
    """
    if (kept := _read()) is not None:
        yield Progress("verifying the derivation", 1, 1, "done before by this version")
        return kept
    total = 3 + len(ACTIVATIONS)
    yield Progress("verifying the derivation", 0, total)
    steps = derivation()
    yield Progress("verifying the derivation", 1, total, "counter-examples")
    examples, wrong = counterexamples(), mutations()
    gains: list[Gain] = []
    edges: dict[str, float | None] = {}
    for i, (name, activation) in enumerate(ACTIVATIONS.items()):
        yield Progress("verifying the derivation", 3 + i, total, f"gain of {name}")
        gains.append(compute_gain(activation))
        edges[name] = edge_of_chaos(activation)
    yield Progress("verifying the derivation", total, total)
    analysis = Analysis(
        steps=steps, counterexamples=examples, mutations=wrong, gains=gains, edges=edges
    )
    keep(FILE, _key(), msgspec.json.encode(analysis))
    return analysis


def _read() -> Analysis | None:
    """Read a kept result; None where there is none that is whole and of this installation."""
    content = read_kept(FILE, _key())
    with suppress(msgspec.DecodeError):
        return None if content is None else msgspec.json.decode(content, type=Analysis)
    return None


@cache
def _key() -> bytes:
    """Gather what decides the result: the source of this package, and what computes."""
    return key_of(Path(__file__).parent, fingerprint())
