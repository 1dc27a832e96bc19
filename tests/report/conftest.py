import shutil
from pathlib import Path

import msgspec
import pytest

from downslope.cli.options import parse_changes
from downslope.data import load
from downslope.progress import drain
from downslope.recipes import load_recipe, run_recipe
from downslope.results import Results
from downslope.runs import Run
from downslope.search import Candidate, Choice, RefitResult, SearchResult, Settings
from downslope.statistics import Accuracy

SMALL = [
    "theory.depth=4",
    "theory.width=32",
    "theory.repetitions=3",
    "theory.examples=32",
    "theory.trainability={depths=[2, 4], map_depths=[2, 4], weight_variances=[1.0, 2.0, 3.0], "
    "width=8, epochs=1, examples=100}",
    "search.trials=3",
    "search.space.epochs=[2]",
    "refit.epochs=3",
    "refit.seeds=2",
    "refit.monitor_test=true",
    "variants.trials=2",
    "variants.settings.epochs=2",
    "variants.refit.epochs=2",
    "variants.refit.seeds=2",
    "landscape.grid=[7, 5]",
    "landscape.examples=64",
    "autoencoder.training.epochs=8",
]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of every stage on digits; read only."""
    run = Run(tmp_path_factory.mktemp("runs") / "digits")
    drain(run_recipe(load_recipe("quick", parse_changes(SMALL)), load("digits"), run))
    return run


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    """A copy of that run, to change."""
    shutil.copytree(finished.path, tmp_path / "run")
    return Run(tmp_path / "run")


@pytest.fixture
def results(finished: Run) -> Results:
    """The results of that run, to change."""
    return msgspec.json.decode(msgspec.json.encode(finished.read_results()), type=Results)


@pytest.fixture
def parted(results: Results) -> Results:
    """The results of a run whose choice, among the best trained again, is not the search's best.

    Every network and every score in it is told from all others by how it is written.
    """
    assert results.search and results.refit and results.variants and results.variants.refit
    search, refit = _parted(results.search, results.refit, 3)
    results.search, results.refit = search, refit
    search, variant = _parted(results.variants.search, results.variants.refit, 7)
    results.variants = msgspec.structs.replace(results.variants, search=search, refit=variant)
    return results


def _parted(
    search: SearchResult, refit: RefitResult, units: int
) -> tuple[SearchResult, RefitResult]:
    replace = msgspec.structs.replace
    assert refit.test_accuracy
    trials = list(search.trials)
    inputs, outputs = refit.member.network.widths[0], refit.member.network.widths[-1]
    for i, trial in enumerate(trials):
        settings = Settings(hidden_layers=2, units=units + i, learning_rate=0.01 + 0.001 * i)
        trials[i] = replace(
            trial,
            settings=settings,
            member=settings.member(inputs, outputs, seed=trial.member.seed),
            outcome="completed",
            validation_accuracy=0.8 - 0.0101 * i + units / 10_000,
        )
    best, chosen = trials[0], trials[1]
    candidates = [
        Candidate(trial=t.id, accuracies=[mean], mean=mean, interval=None, stopped=[])
        for t, mean in ((best, 0.6107 + units / 10_000), (chosen, 0.6213 + units / 10_000))
    ]
    choice = Choice(
        evidence="validation",
        examples=search.validation_examples,
        seeds=1,
        candidates=candidates,
        chosen=chosen.id,
        selection_bias=(best.validation_accuracy or 0) - (candidates[0].mean or 0),
    )
    mean = 0.7019 + units / 10_000
    accuracy = Accuracy(
        mean=mean,
        per_seed=[mean - 0.0113, mean + 0.0113],
        interval=(mean - 0.0217, mean + 0.0219),
        spread=0.0131,
        examples=refit.test_accuracy.examples,
    )
    member = replace(chosen.member, seed=refit.member.seed)
    return (
        replace(search, trials=trials, best=best, choice=choice),
        replace(refit, member=member, test_accuracy=accuracy),
    )
