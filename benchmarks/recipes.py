"""How much processor time does each stage of a recipe take?

python benchmarks/recipes.py quick hw3 fashion-mnist
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from downslope.data import load
from downslope.engines import describe_engine
from downslope.engines.environment import hardware
from downslope.progress import drain
from downslope.recipes import load_recipe, needed, run_recipe
from downslope.recipes.estimate import estimate, measure_speed
from downslope.report import summary, write_report
from downslope.runs import Run
from downslope.stages import STAGES


def measure(name: str, stages: list[str]) -> None:
    """Run a recipe in a temporary directory and print its stages, and the estimate made before."""
    recipe = load_recipe(name)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / name)
        print(f"\n| {name} | processor, s | clock, s |\n|---|---|---|")
        whole = begin = _now()
        dataset = load(recipe.data.name)
        order = needed(stages, recipe)
        expected = estimate(recipe, dataset, order, measure_speed())
        for number, stage in enumerate(order):
            drain(run_recipe(recipe, dataset, run, stages=[stage]))
            begin = _row("loading, " * (number == 0) + STAGES[stage].title, begin)
        with run.locked():
            write_report(run)
        _row("report", begin)
        _, clock = _row("all", whole)
        print(f"\nestimated {expected:.0f} s, {expected / (clock - whole[1]):.2f} of the clock's")
        for label, text in summary(run.read_results()):
            print(f"{label}: {text}")


def _row(title: str, begin: tuple[float, float]) -> tuple[float, float]:
    """Print what was spent since, and return the time now."""
    now = _now()
    print(f"| {title} | {now[0] - begin[0]:.1f} | {now[1] - begin[1]:.1f} |", flush=True)
    return now


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["quick", "hw3", "fashion-mnist"])
    parser.add_argument("--stages", default=",".join(STAGES), help="with commas between")
    arguments = parser.parse_args()
    print({**hardware(), **describe_engine()})
    for each in arguments.recipes:
        measure(each, arguments.stages.split(","))
