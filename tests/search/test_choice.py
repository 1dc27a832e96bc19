from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

from downslope.data import Examples, Scaling
from downslope.progress import drain
from downslope.search import Choice, Round, SearchResult, Settings, choose, folds, search
from downslope.statistics import mean_interval

PROPOSALS = [
    Settings(hidden_layers=1, units=8, learning_rate=rate, epochs=2, batch_size=8)
    for rate in (0.01, 0.1, 0.05, 0.2)
]
WILD = Settings(hidden_layers=2, units=8, activation="leaky_relu", learning_rate=1e6, epochs=2)


@pytest.fixture
def parts(scaled: Examples) -> tuple[Examples, Examples]:
    return scaled.take(np.arange(160)), scaled.take(np.arange(160, 200))


@pytest.fixture
def found(parts: tuple[Examples, Examples], tmp_path: Path) -> SearchResult:
    store = tmp_path / "trials.sqlite"
    return drain(search(PROPOSALS, *parts, classes=10, seed=5, store=store))


def choice(found: SearchResult, rounds: list[Round], store: Path, **more: Any) -> Choice:
    given: dict[str, Any] = {"evidence": "validation", "top": 2, "classes": 10, "seed": 50}
    return drain(choose(found, rounds, store=store, **(given | more)))


def test_the_best_are_trained_again_with_new_seeds_and_the_mean_decides(
    parts: tuple[Examples, Examples], found: SearchResult, tmp_path: Path
) -> None:
    made = choice(found, [Round(*parts, repeats=3)], tmp_path / "c.sqlite")
    order = sorted(found.trials, key=lambda t: -(t.validation_accuracy or 0.0))
    assert made.candidates[0].trial == order[0].id
    assert len(made.candidates) == 2
    # The same trainings, asked for one by one.
    for at, candidate in enumerate(made.candidates):
        settings = found.trials[candidate.trial].settings
        for repeat, accuracy in enumerate(candidate.accuracies):
            store = tmp_path / f"{at}-{repeat}.sqlite"
            seed = 50 + 2 * repeat + at
            again = drain(search([settings], *parts, classes=10, seed=seed, store=store))
            assert again.trials[0].validation_accuracy == accuracy
        assert candidate.mean == pytest.approx(np.mean(candidate.accuracies))
        assert candidate.interval is not None
        theirs = stats.ttest_1samp(candidate.accuracies, 0).confidence_interval(0.95)
        assert candidate.interval == pytest.approx((theirs.low, theirs.high))
    means = {c.trial: c.mean for c in made.candidates}
    assert made.chosen == max(means, key=lambda t: means[t] or 0.0)
    assert order[0].validation_accuracy is not None
    assert made.selection_bias == pytest.approx(
        order[0].validation_accuracy - (means[order[0].id] or 0.0)
    )
    chosen = msgspec.structs.replace(found, choice=made).chosen
    assert chosen is not None
    assert chosen.id == made.chosen


def test_the_evidence_may_be_examples_that_ranked_nothing(
    parts: tuple[Examples, Examples], found: SearchResult, tmp_path: Path
) -> None:
    training, validation = parts
    # Labels moved by one: what is good here is no longer what was good there.
    moved = Examples(validation.inputs, (validation.targets + 1) % 10)
    made = choice(found, [Round(training, moved, 3)], tmp_path / "c.sqlite", evidence="second")
    assert made.selection_bias is not None and made.selection_bias > 0.05
    assert made.evidence == "second"
    # What is asked is not only how other seeds would do, but on other examples.
    first = made.candidates[0]
    assert first.interval_method == "crossed"
    assert first.interval == mean_interval(first.accuracies, examples=len(moved))


def test_folds_hold_out_every_example_once(scaled: Examples) -> None:
    rounds = folds(scaled, 3, seed=7)
    rows = np.concatenate([one.held_out.inputs for one in rounds])
    assert np.array_equal(np.sort(rows, axis=0), np.sort(scaled.inputs, axis=0))
    for one in rounds:
        assert len(one.training) + len(one.held_out) == len(scaled)
        held = {row.tobytes() for row in one.held_out.inputs}
        assert not held & {row.tobytes() for row in one.training.inputs}


def test_what_a_fold_holds_out_has_no_part_in_its_scaling(scaled: Examples) -> None:
    raw = Examples(scaled.inputs * 3 + 1, scaled.targets)
    rounds = folds(raw, 3, seed=7, fit=lambda rows: Scaling.fit(rows, None, 0.0))
    for one, plain in zip(rounds, folds(raw, 3, seed=7), strict=True):
        scaler = StandardScaler().fit(plain.training.inputs)
        varied = plain.training.inputs.std(axis=0) > 0
        for got, given in ((one.training, plain.training), (one.held_out, plain.held_out)):
            expected = scaler.transform(given.inputs)
            np.testing.assert_allclose(got.inputs[:, varied], expected[:, varied], atol=2e-4)


def test_folds_are_trained_once_each(scaled: Examples, found: SearchResult, tmp_path: Path) -> None:
    made = choice(found, folds(scaled, 3, seed=7), tmp_path / "c.sqlite", evidence="folds")
    assert (made.seeds, made.examples) == (3, 67)
    assert [len(c.accuracies) for c in made.candidates] == [3, 3]
    assert sorted(p.name for p in tmp_path.glob("c*")) == [
        "c-2.sqlite", "c-3.sqlite", "c.sqlite",
    ]  # fmt: skip


def test_what_does_not_complete_again_is_stated_and_chosen_last(
    parts: tuple[Examples, Examples], found: SearchResult, tmp_path: Path
) -> None:
    # A trial that once completed by luck: its settings diverge with every other seed.
    lucky = msgspec.structs.replace(found.trials[0], settings=WILD, validation_accuracy=0.99)
    one = msgspec.structs.replace(found, trials=[lucky, *found.trials[1:]])
    made = choice(one, [Round(*parts, repeats=2)], tmp_path / "c.sqlite")
    assert made.candidates[0].trial == 0
    assert (made.candidates[0].accuracies, made.candidates[0].mean) == ([], None)
    assert made.candidates[0].stopped[0].startswith("seed 50 diverged: ")
    assert made.chosen == made.candidates[1].trial
    assert made.selection_bias is None
    alone = choice(
        msgspec.structs.replace(one, trials=[lucky]),
        [Round(*parts, repeats=2)],
        tmp_path / "d.sqlite",
    )
    assert alone.chosen is None


def test_the_choice_of_an_interrupted_run_goes_on(
    parts: tuple[Examples, Examples], found: SearchResult, tmp_path: Path
) -> None:
    whole = choice(found, [Round(*parts, repeats=2)], tmp_path / "w.sqlite")
    given: dict[str, Any] = {"evidence": "validation", "top": 2, "classes": 10, "seed": 50}
    broken = choose(found, [Round(*parts, repeats=2)], store=tmp_path / "c.sqlite", **given)
    for _ in range(4):
        next(broken)
    broken.close()
    assert choice(found, [Round(*parts, repeats=2)], tmp_path / "c.sqlite") == whole
