import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from downslope.data import Examples
from downslope.engines import EpochRecord, Job, instruction_sets, memory, memory_of, runner
from downslope.engines.runner import Runner, ThreadRunner
from downslope.errors import InputError
from downslope.progress import Progress, Steps, drain
from downslope.search import Halving, SearchResult, Settings, Trial, TrialStore, best_of, search

PROPOSALS = [
    Settings(hidden_layers=1, units=8, learning_rate=rate, epochs=2)
    for rate in (0.01, 0.1, 0.05, 0.2)
]

WILD = Settings(hidden_layers=2, units=8, activation="leaky_relu", learning_rate=1e6, epochs=5)


@pytest.fixture
def parts(scaled: Examples) -> tuple[Examples, Examples]:
    return scaled.take(np.arange(160)), scaled.take(np.arange(160, 200))


def steps(
    parts: tuple[Examples, Examples],
    store: Path,
    proposals: list[Settings] = PROPOSALS,
    **more: Any,
) -> Steps[SearchResult]:
    given = {"classes": 10, "seed": 5, "threads": 1} | more
    return search(proposals, *parts, store=store, **given)


def timeless(result: Any) -> Any:
    """Everything but the seconds."""
    plain = msgspec.to_builtins(result)
    for trial in [*plain["trials"], plain["best"] or {}]:
        trial.pop("seconds", None)
    return plain


@pytest.fixture
def whole(parts: tuple[Examples, Examples], tmp_path: Path) -> SearchResult:
    return drain(steps(parts, tmp_path / "whole.sqlite"))


def test_each_trial_is_what_a_plain_torch_loop_finds(
    parts: tuple[Examples, Examples], whole: SearchResult
) -> None:
    training, validation = parts
    settings, trial = PROPOSALS[1], whole.trials[1]
    torch.manual_seed(6)
    module = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10))
    optimizer = torch.optim.SGD(module.parameters(), lr=settings.learning_rate)
    rows = torch.utils.data.TensorDataset(
        torch.from_numpy(training.inputs), torch.from_numpy(training.targets)
    )
    for _ in range(2):
        for inputs, targets in torch.utils.data.DataLoader(rows, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs), targets).backward()
            optimizer.step()
    with torch.no_grad():
        shares = module(torch.from_numpy(validation.inputs)).double().softmax(1).numpy()
    assert trial.validation_accuracy == accuracy_score(validation.targets, shares.argmax(1))
    assert trial.validation_loss == pytest.approx(
        log_loss(validation.targets, shares, labels=range(10)), rel=1e-5
    )


def test_a_result_holds_all_trials_with_their_seeds_and_the_best(whole: SearchResult) -> None:
    assert [t.id for t in whole.trials] == [0, 1, 2, 3]
    assert [t.member.seed for t in whole.trials] == [5, 6, 7, 8]
    assert [t.settings for t in whole.trials] == PROPOSALS
    assert whole.validation_examples == 40
    assert whole.best is not None
    assert whole.best.validation_accuracy == max(t.validation_accuracy or 0 for t in whole.trials)
    for trial in whole.trials:
        assert [e.epoch for e in trial.curve] == [1, 2]
        assert trial.curve[-1].validation_accuracy == trial.validation_accuracy
        assert trial.curve[-1].train_loss == trial.train_loss


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("how", ["close", "throw"])
def test_an_interrupted_search_ends_as_an_uninterrupted_one(
    parts: tuple[Examples, Examples], whole: SearchResult, tmp_path: Path, stop: int, how: str
) -> None:
    broken = steps(parts, tmp_path / "t.sqlite")
    for _ in range(stop):
        next(broken)
    if how == "close":
        broken.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            broken.throw(KeyboardInterrupt())
    assert timeless(drain(steps(parts, tmp_path / "t.sqlite"))) == timeless(whole)


def test_no_finished_trial_is_trained_again(
    parts: tuple[Examples, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def counting(own: Runner) -> Iterator[EpochRecord]:
        for record in original(own):
            if record.outcome is not None:
                trained.append(5 + record.member)
            yield record

    original = Runner.records
    monkeypatch.setattr(Runner, "records", counting)
    broken = steps(parts, tmp_path / "t.sqlite")
    for _ in range(6):  # the start and five epochs: two trials of two epochs have ended
        next(broken)
    broken.close()
    assert len(trained) == 2
    drain(steps(parts, tmp_path / "t.sqlite"))
    assert sorted(trained) == [5, 6, 7, 8]
    drain(steps(parts, tmp_path / "t.sqlite"))
    assert len(trained) == 4


def test_a_longer_search_goes_on_from_a_shorter_one(
    parts: tuple[Examples, Examples], whole: SearchResult, tmp_path: Path
) -> None:
    short = drain(steps(parts, tmp_path / "t.sqlite", PROPOSALS[:2]))
    assert len(short.trials) == 2
    longer = drain(steps(parts, tmp_path / "t.sqlite"))
    assert timeless(longer) == timeless(whole)
    assert [t.seconds for t in longer.trials[:2]] == [t.seconds for t in short.trials]


def test_threads_do_not_change_what_is_found(
    parts: tuple[Examples, Examples],
    whole: SearchResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "WORTH_WORKERS", 0)
    found = drain(steps(parts, tmp_path / "t.sqlite", threads=2))
    assert timeless(found) == timeless(whole)


def test_a_diverged_trial_says_so_and_is_never_chosen(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    found = drain(steps(parts, tmp_path / "t.sqlite", [WILD, PROPOSALS[0]]))
    trial = found.trials[0]
    assert trial.outcome == "diverged"
    assert trial.reason.startswith("not finite at step ")
    assert ", epoch 1; the last finite loss was " in trial.reason
    assert 1 <= int(trial.reason.split()[4].rstrip(",")) <= 5
    assert (trial.validation_accuracy, trial.validation_loss) == (None, None)
    assert len(trial.curve) == 1
    assert found.best is not None
    assert found.best.id == 1


def test_a_trial_that_cannot_be_trained_has_failed_and_the_others_go_on(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    # Of one row batch norm can take no variance.
    broken = Settings(units=8, normalization="batch", epochs=1)
    row = (parts[0].take(np.array([0])), parts[1])
    found = drain(steps(row, tmp_path / "t.sqlite", [broken, PROPOSALS[0]]))
    assert found.trials[0].outcome == "failed"
    assert "more than 1 value per channel" in found.trials[0].reason
    assert found.trials[0].curve == []
    assert found.best is not None
    assert found.best.id == 1


def test_where_nothing_completes_nothing_is_chosen(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    assert drain(steps(parts, tmp_path / "t.sqlite", [WILD])).best is None


def test_the_choice_follows_the_validation_examples(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    training, validation = parts
    # Against shuffled labels the best is another trial: accuracy is taken on what is given here.
    shuffled = Examples(validation.inputs, (validation.targets + 3) % 10)
    found = drain(steps((training, shuffled), tmp_path / "t.sqlite"))
    honest = drain(steps(parts, tmp_path / "h.sqlite"))
    assert [t.train_loss for t in found.trials] == [t.train_loss for t in honest.trials]
    assert found.best is not None
    assert honest.best is not None
    assert found.best.id != honest.best.id


def make(number: int, **changes: Any) -> Trial:
    settings = Settings()
    fields: dict[str, Any] = {
        "id": number,
        "settings": settings,
        "member": settings.member(4, 3, seed=number),
        "outcome": "completed",
        "reason": "",
        "validation_accuracy": 0.5,
        "validation_loss": 1.0,
        "train_loss": 1.0,
        "curve": [],
        "seconds": 0.0,
    }
    return Trial(**(fields | changes))


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([], None),
        ([make(0, outcome="diverged"), make(1, outcome="failed")], None),
        ([make(0, validation_accuracy=0.5), make(1, validation_accuracy=0.6)], 1),
        ([make(0, validation_loss=1.0), make(1, validation_loss=0.9)], 1),
        ([make(0, validation_loss=0.1), make(1, validation_loss=0.0)], 1),
        ([make(1), make(0), make(2)], 0),
        ([make(0, outcome="diverged", validation_accuracy=0.9), make(1)], 1),
        ([make(0, validation_accuracy=0.0), make(1, validation_accuracy=0.0)], 0),
        ([make(0, validation_loss=None), make(1, validation_loss=1e9)], 1),
    ],
)
def test_the_best_has_the_highest_accuracy_then_the_lowest_loss_then_the_lowest_id(
    trials: list[Trial], best: int | None
) -> None:
    found = best_of(trials)
    assert (None if found is None else found.id) == best


@pytest.mark.parametrize("change", ["seed", "settings", "data"])
def test_a_store_of_another_search_is_refused_and_left_alone(
    parts: tuple[Examples, Examples], tmp_path: Path, change: str
) -> None:
    store = tmp_path / "t.sqlite"
    drain(steps(parts, store, PROPOSALS[:1]))
    before = store.read_bytes()
    proposals, seed, examples = PROPOSALS[:1], 5, parts
    if change == "seed":
        seed = 6
    elif change == "settings":
        proposals = PROPOSALS[1:2]
    else:
        narrow = [Examples(np.ascontiguousarray(p.inputs[:, :60]), p.targets) for p in parts]
        examples = (narrow[0], narrow[1])
    with pytest.raises(InputError, match=r"t\.sqlite: trial 0 is of another search"):
        drain(steps(examples, store, proposals, seed=seed))
    assert store.read_bytes() == before


def test_no_proposals_are_refused(parts: tuple[Examples, Examples], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trials = 0"):
        drain(steps(parts, tmp_path / "t.sqlite", []))
    assert not (tmp_path / "t.sqlite").exists()


def test_progress_only_grows_and_ends_full(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    seen: list[Progress] = list(steps(parts, tmp_path / "t.sqlite", [*PROPOSALS, WILD]))
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == pytest.approx(seen[-1].total)
    assert "5/5 trials, best 0." in seen[-1].note


def test_a_store_that_another_process_writes_to_gives_one_line(
    parts: tuple[Examples, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "t.sqlite"
    drain(steps(parts, store, PROPOSALS[:1]))
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0))
    running = steps(parts, store, PROPOSALS[:2])
    next(running)
    other = connect(store)
    try:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"trial 1 cannot be stored .*locked"):
            drain(running)
    finally:
        other.close()


def test_validation_examples_that_do_not_fit_are_one_error_and_no_failed_trials(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    training, validation = parts
    beyond = Examples(validation.inputs, validation.targets + 3)
    with pytest.raises(InputError, match=r"classes \d+ to 12 do not fit a network with 10 outputs"):
        drain(steps((training, beyond), tmp_path / "t.sqlite"))


def test_targets_that_the_caller_changes_do_not_reach_a_running_search(
    parts: tuple[Examples, Examples], whole: SearchResult, tmp_path: Path
) -> None:
    own = tuple(Examples(part.inputs, part.targets.copy()) for part in parts)
    running = steps((own[0], own[1]), tmp_path / "t.sqlite")
    next(running)  # the runner is there
    for part in own:
        part.targets[:] = 0
    assert timeless(drain(running)) == timeless(whole)


@pytest.mark.skipif(not instruction_sets(), reason="needs the compiled engine")
def test_the_interpreter_ends_the_threads_of_a_search_too(
    parts: tuple[Examples, Examples],
) -> None:
    before = set(threading.enumerate())
    one = ThreadRunner(*parts, 2)
    member = Settings(epochs=100_000).member(64, 10, seed=1)
    for number in range(2):
        one.submit(Job(member=member, index=number))
    records = one.records()
    next(records)
    started = set(threading.enumerate()) - before
    assert len(started) == 2
    runner._end_all()
    assert not any(thread.is_alive() for thread in started)


def test_trials_that_do_not_fit_side_by_side_are_refused_before_any_trains(
    parts: tuple[Examples, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Settings(hidden_layers=2, units=300, epochs=1)
    bytes_of_one = sum(memory_of(one.member(64, 10, seed=5), len(parts[0])).values())
    monkeypatch.setattr(memory, "memory_here", lambda: 3 * bytes_of_one)
    with pytest.raises(InputError, match=r"^memory: .*; lower threads = 4$"):
        drain(steps(parts, tmp_path / "t.sqlite", [one] * 4, threads=4))
    with TrialStore(tmp_path / "t.sqlite") as store:
        assert store.trials() == []
    assert drain(steps(parts, tmp_path / "t.sqlite", [one] * 4, threads=2)).best is not None


def test_a_trial_that_goes_on_at_a_rung_takes_its_memory_once(
    parts: tuple[Examples, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Settings(hidden_layers=2, units=300, epochs=4)
    bytes_of_one = sum(memory_of(one.member(64, 10, seed=5), len(parts[0])).values())
    monkeypatch.setattr(memory, "memory_here", lambda: 3 * bytes_of_one)
    halving = Halving(method="halving")
    found = drain(steps(parts, tmp_path / "t.sqlite", [one] * 3, threads=4, halving=halving))
    assert {trial.outcome for trial in found.trials} == {"completed", "pruned"}
