"""How long does a class of submissions take? Half of them are right, half have mistakes.

    python benchmarks/grading.py [submissions, by default 300]

Prints wall seconds, and processor seconds of all processes for one submission; what the catalogue's
mistakes do is learnt first where the user's cache does not know it (DOWNSLOPE_CACHE names another).
Solutions, mistakes and several mistakes at once are those of tests/assignment.
"""

import os
import runpy
import sys
import tempfile
import time
from pathlib import Path

from downslope.assignment import read_rubric
from downslope.assignment.classroom import grade
from downslope.progress import drain

HERE = Path(__file__).parent.parent / "tests" / "assignment"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    variations = runpy.run_path(str(HERE / "variations.py"))
    mistakes = runpy.run_path(str(HERE / "seeds.py"))["MISTAKES"]
    right = variations["CORRECT"]
    wrong = [(solution, [(a, b)]) for _, solution, a, b in mistakes]
    wrong += [(solution, changes) for _, solution, changes in variations["SEVERAL"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "submissions"
        folder.mkdir()
        for i in range(count):
            several = wrong if i % 2 else right
            solution, changes = several[i // 2 % len(several)]
            source = (HERE / "solutions" / solution).read_text("utf-8")
            for old, new in changes:
                source = source.replace(old, new)
            (folder / f"student-{i:03}.py").write_text(source, "utf-8")
        start = time.perf_counter()
        drain(grade(folder, read_rubric(), Path(name) / "grades.csv"))
        seconds = time.perf_counter() - start
    used = os.times()
    each = (used.user + used.system + used.children_user + used.children_system) / count
    print(
        f"{count} submissions, {os.cpu_count()} cores: {seconds:.0f} s, {each:.2f} s of a core each"
    )


if __name__ == "__main__":
    main()
