import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.data import Examples
from downslope.errors import InputError
from downslope.progress import drain
from downslope.search import Halving, Range, Sampler, SearchResult, Settings, Space, search
from downslope.search.halving import Cohort
from downslope.search.trials import PausedTrial, Trial

EPOCHS = 9
THIRDS = Halving(method="halving", factor=3, smallest=0.1)
SPACE = Space(
    base=Settings(hidden_layers=1, epochs=EPOCHS, batch_size=20),
    values={
        "units": [4, 8, 16],
        "learning_rate": Range(low=0.001, high=0.5, log=True),
        "normalization": ["none", "batch"],
    },
)
# What a search with halving must find, whatever happens on its way.
CASES: dict[str, dict[str, Any]] = {
    "halving": {"halving": THIRDS, "sampler": "random", "trials": 12},
    "hyperband": {
        "halving": Halving(method="hyperband", smallest=0.3),
        "sampler": "quasi_random",
        "trials": 9,
    },
    "learning": {
        "halving": Halving(method="halving", smallest=0.3, cohort=4),
        "sampler": "tpe",
        "trials": 18,
    },
}


@pytest.fixture
def parts(scaled: Examples) -> tuple[Examples, Examples]:
    return scaled.take(np.arange(160)), scaled.take(np.arange(160, 200))


def start(parts: tuple[Examples, Examples], store: Path, case: str, **more: Any) -> Any:
    own = CASES[case]
    sampler = Sampler(SPACE, own["sampler"], 5)
    given = {"classes": 10, "seed": 5, "threads": 1, "store": store} | more
    return search(sampler, *parts, trials=own["trials"], halving=own["halving"], **given)


def timeless(result: SearchResult) -> Any:
    plain = msgspec.to_builtins(result)
    for trial in [*plain["trials"], plain["best"] or {}]:
        trial.pop("seconds", None)
    return plain


def test_survivors_are_those_that_a_plain_sort_keeps(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    halved = drain(start(parts, tmp_path / "h.sqlite", "halving"))
    sampler = Sampler(SPACE, "random", 5)
    full = drain(
        search(sampler, *parts, trials=12, classes=10, seed=5, store=tmp_path / "f.sqlite")
    )
    # Epochs 1 and 3 of 9, then the end; 4 of 12 go on, then 1 of 4.
    alive = full.trials
    for epoch, keep in ((1, 4), (3, 1)):
        order = sorted(
            alive,
            key=lambda t: (
                t.curve[epoch - 1].validation_accuracy,
                -(t.curve[epoch - 1].validation_loss or 0.0),
                -t.id,
            ),
            reverse=True,
        )
        for rank, trial in enumerate(order[keep:], keep + 1):
            own = halved.trials[trial.id]
            assert (own.outcome, own.rank) == ("pruned", rank)
            assert own.curve == trial.curve[:epoch]
            assert own.reason == (
                f"rank {rank} of {len(alive)} at rung {own.rung} (epoch {epoch} of 9), "
                f"of which {keep} went on"
            )
        alive = order[:keep]
    # Those that went on went on from where they were: their curves are those of the full search.
    survivor = halved.trials[alive[0].id]
    assert (survivor.outcome, survivor.curve) == ("completed", alive[0].curve)
    assert halved.best == survivor


@pytest.mark.parametrize("case", CASES)
def test_threads_do_not_change_what_is_found(
    case: str, parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    alone = drain(start(parts, tmp_path / "1.sqlite", case))
    for threads in (2, 5):
        many = drain(start(parts, tmp_path / f"{threads}.sqlite", case, threads=threads))
        assert timeless(many) == timeless(alone)


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_search_ends_as_an_uninterrupted_one(
    case: str, parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    whole = timeless(drain(start(parts, tmp_path / "whole.sqlite", case)))
    store = tmp_path / "t.sqlite"
    for stops in itertools.count(3, 4):  # again and again, each time a little further
        broken = start(parts, store, case, threads=1 + stops % 2)
        for _ in range(stops):
            if next(broken, None) is None:
                break
        else:
            broken.close()
            continue
        break
    assert timeless(drain(start(parts, store, case))) == whole


def test_no_finished_stretch_is_trained_again(
    parts: tuple[Examples, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from downslope.engines import Job
    from downslope.engines.runner import Runner
    from downslope.search import TrialStore

    begun: list[tuple[int, int]] = []
    reached: dict[int, int] = {}  # the epoch of the last rung of each trial that waits at one
    pause, add = TrialStore.pause, TrialStore.add

    def paused(own: TrialStore, trial: PausedTrial, state: bytes) -> None:
        reached[trial.id] = len(trial.curve)
        pause(own, trial, state)

    def ended(own: TrialStore, trial: Trial) -> None:
        reached[trial.id] = EPOCHS
        add(own, trial)

    monkeypatch.setattr(TrialStore, "pause", paused)
    monkeypatch.setattr(TrialStore, "add", ended)
    original = Runner.submit

    def submit(own: Runner, job: Job) -> None:
        after = 0 if job.checkpoint is None else job.checkpoint.epoch
        begun.append((job.index, after))
        original(own, job)

    monkeypatch.setattr(Runner, "submit", submit)
    store = tmp_path / "t.sqlite"
    broken = start(parts, store, "halving")
    for _ in range(14):  # the start and 13 epochs: first rungs, and a beginning of second ones
        next(broken)
    broken.close()
    before = dict(reached)
    assert {after for _, after in begun} == {0, 1} and len(before) >= 10
    begun.clear()
    found = drain(start(parts, store, "halving"))
    first = dict(reversed(begun))
    assert first and all(after == before.get(trial, 0) for trial, after in first.items())
    assert not {trial for trial, epochs in before.items() if epochs == EPOCHS} & set(first)
    survivor = next(t for t in found.trials if t.outcome == "completed")
    assert len(survivor.curve) == EPOCHS


def test_a_survivor_goes_on_from_its_state_and_not_from_zero(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    broken = start(parts, tmp_path / "t.sqlite", "halving")
    for _ in range(14):
        next(broken)
    broken.close()
    from downslope.engines import Checkpoint
    from downslope.search import TrialStore

    with TrialStore(tmp_path / "t.sqlite") as store:
        waiting = store.paused()
        assert waiting
        for trial in waiting:
            assert Checkpoint.from_bytes(store.state(trial.id)).member == trial.member
    drain(start(parts, tmp_path / "t.sqlite", "halving"))
    with TrialStore(tmp_path / "t.sqlite") as store:
        assert store.paused() == []
        with pytest.raises(InputError, match="damaged"):
            store.state(0)


def test_a_diverged_trial_makes_no_room_at_a_rung(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    wild = Settings(hidden_layers=2, units=8, activation="leaky_relu", learning_rate=1e6, epochs=9)
    calm = [Settings(hidden_layers=1, units=8, learning_rate=r, epochs=9) for r in (0.01, 0.1)]
    found = drain(
        search(
            [wild, *calm], *parts, classes=10, seed=5, store=tmp_path / "t.sqlite", halving=THIRDS
        )
    )
    assert [t.outcome for t in found.trials].count("completed") == 1
    assert found.trials[0].outcome == "diverged"
    assert sorted(t.outcome for t in found.trials[1:]) == ["completed", "pruned"]


def test_where_all_diverge_the_search_ends(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    wild = Settings(hidden_layers=2, units=8, activation="leaky_relu", learning_rate=1e6, epochs=9)
    store = tmp_path / "t.sqlite"
    found = drain(search([wild] * 5, *parts, classes=10, seed=5, store=store, halving=THIRDS))
    assert {t.outcome for t in found.trials} == {"diverged"}
    assert found.best is None


def test_one_epoch_leaves_nothing_to_prune(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    short = [Settings(hidden_layers=1, units=4, epochs=1) for _ in range(9)]
    store = tmp_path / "t.sqlite"
    for _ in range(2):  # the second time from the store alone
        found = drain(search(short, *parts, classes=10, seed=5, store=store, halving=THIRDS))
        assert {t.outcome for t in found.trials} == {"completed"}


def plainly(scores: list[float | None], rungs: int, factor: int) -> list[int]:
    """The rung at which each trial leaves, by sorting whole rungs; `rungs` for the last ones."""
    left = [-1] * len(scores)
    alive = list(range(len(scores)))
    keep = len(scores)
    for rung in range(rungs):
        keep = max(1, keep // factor)
        good = [i for i in alive if scores[i] is not None]
        order = sorted(good, key=lambda i: (scores[i] or 0.0, -i), reverse=True)
        for i in alive:
            if i not in order[:keep]:
                left[i] = rung
        alive = order[:keep]
    for i in alive:
        left[i] = rungs
    return left


@given(
    st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=14),
    st.integers(0, 3),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_decisions_do_not_depend_on_the_order_of_arrival(
    scores: list[float | None], rungs: int, factor: int, chance: Any
) -> None:
    cohort = Cohort(range(len(scores)), [0.1] * rungs, factor, lambda _: 100)
    running = list(range(len(scores)))
    reached = [0] * len(scores)
    left = [-1] * len(scores)
    while running:
        trial = running.pop(chance.randrange(len(running)))
        value = scores[trial]
        if value is None or reached[trial] == rungs:
            left[trial] = reached[trial]
        goes_on, pruned = cohort.arrived(trial, None if value is None else (value, 0.0, -trial))
        for i in goes_on:
            reached[i] += 1
            running.append(i)
        for out in pruned:
            assert out.rung == reached[out.trial] + 1
            left[out.trial] = reached[out.trial]
    assert left == plainly(scores, rungs, factor)
    assert not cohort.open


def test_brackets_are_optunas() -> None:
    # Li et al. 2018, Table 1: R = 81, factor 3, brackets of 81, 34, 15, 8, 5.
    sizes = Halving(method="hyperband", smallest=1 / 81).cohorts(143, learns=False)
    assert [size for size, _ in sizes] == [81, 34, 15, 8, 5]
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=81, reduction_factor=3)
    study = optuna.create_study(pruner=pruner)
    pruner._try_initialization(study)
    assert pruner._n_brackets == 5
    assert pruner._trial_allocation_budgets == [81, 34, 15, 8, 5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Halving(factor=1), "factor = 1"),
        (lambda: Halving(smallest=0.0), "smallest = 0.0"),
        (lambda: Halving(cohort=-1), "cohort = -1"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], Halving], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
