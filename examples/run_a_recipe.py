"""Run a recipe from Python, watch it, and read what it found."""

import tempfile
from pathlib import Path

from downslope import Run, load, load_recipe, run_recipe

recipe = load_recipe("quick", {"search.trials": 3, "refit.epochs": 5})
with tempfile.TemporaryDirectory() as folder:
    steps = run_recipe(recipe, load("digits"), Run(Path(folder)), stages=["refit"])
    for progress in steps:
        if progress.done == progress.total:
            print(f"{progress.task}: {progress.note}")
    results = Run(Path(folder)).read_results()

assert results.refit is not None and results.refit.test_accuracy is not None
accuracy = results.refit.test_accuracy
low, high = accuracy.interval
print(f"test accuracy {accuracy.mean:.3f} (95 % interval {low:.3f} to {high:.3f})")
print(f"the sealed test set was opened {len(results.test_set.openings)} times")
