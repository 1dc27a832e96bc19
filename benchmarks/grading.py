"""How long does a class of submissions take? Half of them are right, half have mistakes.

    python benchmarks/grading.py [submissions, by default 300] [--folder DIR] [--seconds 100]

Prints wall seconds, and processor seconds of all processes for one submission; what the catalogue's
mistakes do is learnt first where the user's cache does not know it (DOWNSLOPE_CACHE names another).
With --seconds it stops after that time, and the same command goes on: a busy machine can be had
quiet for some minutes alone. Solutions, mistakes and several mistakes at once are those of
tests/assignment.
"""

import argparse
import os
import runpy
import tempfile
import time
from pathlib import Path

from downslope.assignment import read_rubric
from downslope.assignment.classroom import grade

HERE = Path(__file__).parent.parent / "tests" / "assignment"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", nargs="?", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seconds", type=float, default=1e9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        write_class(folder / "submissions", asked.count)
        pieces = folder / "pieces.csv"
        before = [line.split(",") for line in pieces.read_text().split()] if pieces.exists() else []
        start, done = time.perf_counter(), 0
        steps = grade(folder / "submissions", read_rubric(), folder / "grades.csv")
        for step in steps:
            done = step.done
            if time.perf_counter() - start > asked.seconds:
                break
        steps.close()
        seconds = time.perf_counter() - start
        used = os.times()
        cores = used.user + used.system + used.children_user + used.children_system
        pieces.write_text("\n".join([*map(",".join, before), f"{seconds:.1f},{cores:.1f}"]))
        seconds += sum(float(piece[0]) for piece in before)
        cores += sum(float(piece[1]) for piece in before)
        print(
            f"{done:.0f} of {asked.count} submissions, {os.cpu_count()} cores: {seconds:.0f} s in "
            f"{len(before) + 1} pieces, {cores / max(1, done):.2f} s of a core each"
        )


def write_class(folder: Path, count: int) -> None:
    variations = runpy.run_path(str(HERE / "variations.py"))
    mistakes = runpy.run_path(str(HERE / "seeds.py"))["MISTAKES"]
    right = variations["CORRECT"]
    wrong = [(solution, [(a, b)]) for _, solution, a, b in mistakes]
    wrong += [(solution, changes) for _, solution, changes in variations["SEVERAL"]]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        several = wrong if i % 2 else right
        solution, changes = several[i // 2 % len(several)]
        source = (HERE / "solutions" / solution).read_text("utf-8")
        for old, new in changes:
            source = source.replace(old, new)
        (folder / f"student-{i:03}.py").write_text(source, "utf-8")


if __name__ == "__main__":
    main()
