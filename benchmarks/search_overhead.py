"""What a trial costs beyond its training: on this machine, and on a Ray cluster.

Usage: python benchmarks/search_overhead.py [--address HOST:PORT]

Searches over trials of one epoch on 200 digits, each well below a millisecond, so that nearly all
of the time is overhead: proposing, handing out, collecting, and storing durably. Then over longer
trials, to see how busy the cores are kept. Seconds of the trials are the engine's own.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from downslope import load
from downslope.data import Examples
from downslope.engines import MakeRunner, cores, hardware, local_runner, versions
from downslope.engines.ray import Cluster
from downslope.progress import drain
from downslope.search import SearchResult, Settings, search


def timed(
    make_runner: MakeRunner, trials: int, epochs: int, rows: int
) -> tuple[float, SearchResult]:
    digits = load("digits").training
    part = Examples((digits.inputs[:rows] / 16).astype(np.float32), digits.targets[:rows])
    proposals = [Settings(units=8, epochs=epochs, learning_rate=0.05)] * trials
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "trials.sqlite"
        start = time.perf_counter()
        steps = search(
            proposals, part, part.take(np.arange(50)), classes=10, seed=1, store=store,
            make_runner=make_runner,
        )  # fmt: skip
        found = drain(steps)
        return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="of a Ray cluster to measure as well")
    parser.add_argument("--epochs", type=int, default=1500, help="of the longer trials")
    parser.add_argument("--members", type=int, default=40, help="how many longer trials")
    options = parser.parse_args()
    print(hardware(), versions())
    contestants: list[tuple[str, MakeRunner, int]] = [("local", local_runner, cores())]
    cluster = Cluster(options.address) if options.address else None
    if cluster is not None:
        contestants.append(("ray", cluster.runner, cluster.cores))
    for name, make_runner, size in contestants:
        timed(make_runner, 20, 1, 200)  # warms up
        for _ in range(3):
            wall, found = timed(make_runner, 300, 1, 200)
            trained = sum(trial.seconds for trial in found.trials) / size
            each = 1000 * (wall - trained) / 300
            print(f"{name}: 300 trials in {wall:.2f} s; {each:.2f} ms of overhead per trial")
        wall, found = timed(make_runner, options.members, options.epochs, 1437)
        trained = sum(trial.seconds for trial in found.trials)
        print(
            f"{name}: {options.members} trials of {trained / options.members:.1f} s; "
            f"{size} cores busy for {trained / size / wall:.1%} of {wall:.1f} s"
        )
    if cluster is not None:
        cluster.__exit__(None, None, None)


if __name__ == "__main__":
    main()
