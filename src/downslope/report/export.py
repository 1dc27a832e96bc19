"""A run's members as tables and in the files of other tools: CSV, JSONL, MLflow, TensorBoard."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from downslope.errors import InputError
from downslope.files import inside, write_whole
from downslope.report.figures.drawn import inert
from downslope.results import Results
from downslope.runs import Run
from downslope.search import RefitResult, SearchResult

FORMATS: Final = ("csv", "jsonl", "mlflow", "tensorboard")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one member of a run as other tools see it.

    Args:
        name: as "search/trial-003", unique in the run.
        seed: of the member.
        outcome: "completed", "pruned", "diverged" or "failed".
        reason: one line for an outcome other than "completed".
        settings: network and training by name.
        scores: single numbers at the end; those that are not known are left out.
        curve: by epoch from 1, what was measured; losses that were not finite are left out.
        seconds: of the training; None where not measured.
    """

    name: str
    seed: int
    outcome: str
    reason: str
    settings: dict[str, Any]
    scores: dict[str, float]
    curve: list[dict[str, float]]
    seconds: float | None


def exported(run: Run, results: Results) -> list[Exported]:
    """List every member of a run: trials, final trainings, variants, the autoencoder."""
    found: list[Exported] = []
    if results.search is not None:
        found += _trials(results.search, "search")
    if results.refit is not None:
        found += _refit(run, results.refit, "refit")
    if results.variants is not None:
        found += _trials(results.variants.search, "variants")
        if results.variants.refit is not None:
            found += _refit(run, results.variants.refit, "variants-refit", "variants")
    coder = results.autoencoder
    if coder is not None:
        found.append(
            Exported(
                name="autoencoder",
                seed=coder.member.seed,
                outcome=coder.outcome,
                reason="; ".join(coder.stopped),
                settings=_settings(coder.member),
                scores=_known(test_mse=coder.test_mse, pca_test_mse=coder.pca_test_mse),
                curve=[_known(train_loss=epoch.train_loss) for epoch in coder.epochs],
                seconds=None,
            )
        )
    return found


def _trials(found: SearchResult, part: str) -> Iterator[Exported]:
    for trial in found.trials:
        yield Exported(
            name=f"{part}/trial-{trial.id:03d}",
            seed=trial.member.seed,
            outcome=trial.outcome,
            reason=trial.reason,
            settings=msgspec.to_builtins(trial.settings),
            scores=_known(
                validation_accuracy=trial.validation_accuracy,
                validation_loss=trial.validation_loss,
                train_loss=trial.train_loss,
            ),
            curve=[
                _known(
                    train_loss=epoch.train_loss,
                    validation_loss=epoch.validation_loss,
                    validation_accuracy=epoch.validation_accuracy,
                )
                for epoch in trial.curve
            ],
            seconds=trial.seconds,
        )


def _refit(run: Run, found: RefitResult, part: str, folder: str = "refit") -> Iterator[Exported]:
    completed: Sequence[int] = ()
    if found.test_accuracy is not None:
        held = run.read_arrays(f"{folder}/predictions.npz", ("seeds",))
        completed = [int(seed) for seed in held["seeds"]]
    for i, seed in enumerate(found.seeds):
        accuracy = None
        if found.test_accuracy is not None and seed in completed:
            accuracy = found.test_accuracy.per_seed[completed.index(seed)]
        yield Exported(
            name=f"{part}/seed-{seed}",
            seed=seed,
            outcome="stopped" if accuracy is None else "completed",
            reason="; ".join(found.stopped) if accuracy is None else "",
            settings=_settings(found.member),
            scores=_known(test_accuracy=accuracy),
            curve=[_known(train_loss=epoch.train_loss_per_seed[i]) for epoch in found.epochs],
            seconds=None,
        )


def _settings(member: Any) -> dict[str, Any]:
    built = msgspec.to_builtins(member)
    return {**built["network"], **built["training"]}


def _known(**values: float | None) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def write_export(run: Run, formats: Sequence[str], out: Path) -> list[Path]:
    """Write a run for other tools, and return what was written.

    `members.csv` has a row for every member, `epochs.csv` one for every epoch of each;
    `members.jsonl` a line for every member with its epochs; `mlflow.db` is an MLflow tracking
    store; `tensorboard/` holds event files.

    Args:
        run: its directory.
        formats: some of `FORMATS`.
        out: the folder to write into; made here.

    Raises:
        InputError: the directory holds no run or a damaged one; a format's package is not
            installed; the folder cannot be written.
    """
    for name, package in (("mlflow", "mlflow"), ("tensorboard", "tensorboardX")):
        if name in formats:
            _check(package)
    results = run.read_results()
    members = exported(run, results)
    paths: list[Path] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("mlflow.db", "tensorboard"):  # not written by us
            inside(out, name)
        if "csv" in formats:
            paths += [out / "members.csv", out / "epochs.csv"]
            write_whole(paths[0], member_rows(members).encode())
            write_whole(paths[1], epoch_rows(members).encode())
        if "jsonl" in formats:
            paths.append(out / "members.jsonl")
            lines = [msgspec.json.encode(member) + b"\n" for member in members]
            write_whole(paths[-1], b"".join(lines))
        if "mlflow" in formats:
            paths.append(out / "mlflow.db")
            _write_mlflow(paths[-1], results, members)
        if "tensorboard" in formats:
            paths.append(out / "tensorboard")
            _write_tensorboard(paths[-1], members)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return paths


def _check(package: str) -> None:
    try:
        with _quiet():
            import_module(package)
    except ImportError:
        raise InputError(
            f"export: {package} is not installed; pip install 'downslope[tracking]', or leave its "
            "format out"
        ) from None


def member_rows(members: Sequence[Exported]) -> str:
    """Write a row for every member as CSV; what a member has not is left empty."""
    settings = dict.fromkeys(name for member in members for name in member.settings)
    scores = dict.fromkeys(name for member in members for name in member.scores)
    return _csv(
        ["name", "seed", "outcome", "reason", "seconds", *scores, *settings],
        (
            {
                "name": member.name,
                "seed": member.seed,
                "outcome": member.outcome,
                "reason": member.reason,
                "seconds": member.seconds,
                **member.scores,
                **member.settings,
            }
            for member in members
        ),
    )


def epoch_rows(members: Sequence[Exported]) -> str:
    """Write a row for every epoch of every member as CSV."""
    measured = dict.fromkeys(name for one in members for epoch in one.curve for name in epoch)
    return _csv(
        ["name", "epoch", *measured],
        (
            {"name": member.name, "epoch": i, **epoch}
            for member in members
            for i, epoch in enumerate(member.curve, 1)
        ),
    )


def _csv(columns: Sequence[str], rows: Iterator[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


@contextmanager
def _quiet() -> Generator[None]:
    """Keep what these packages say of themselves, and of each other, off the user's screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _write_mlflow(path: Path, results: Results, members: Sequence[Exported]) -> None:
    """Write an MLflow store with one experiment: the run, and its members as nested runs."""
    made = path.with_name(f".{path.name}.part")
    made.unlink(missing_ok=True)
    with _quiet():
        entities, tracking = import_module("mlflow.entities"), import_module("mlflow.tracking")
        client = tracking.MlflowClient(tracking_uri=f"sqlite:///{made.resolve()}")
        title = results.recipe.title
        # MLflow would else make a folder of artifacts where the command was called.
        place = (path.parent / "mlflow-artifacts").resolve().as_uri()
        experiment = client.create_experiment(title or "downslope", artifact_location=place)
        parent = client.create_run(experiment, run_name=results.data.name, start_time=0)
        client.log_param(parent.info.run_id, "data_sha256", results.data.sha256)
        refit = results.refit
        if refit is not None and refit.test_accuracy is not None:
            client.log_metric(parent.info.run_id, "test_accuracy", refit.test_accuracy.mean, 0)
            for name, value in _settings(refit.member).items():
                client.log_param(parent.info.run_id, name, value)
        for member in members:
            child = client.create_run(
                experiment,
                run_name=member.name,
                start_time=0,
                tags={"mlflow.parentRunId": parent.info.run_id, "outcome": member.outcome},
            ).info.run_id
            steps = [*enumerate(member.curve, 1), (len(member.curve), member.scores)]
            times = _times(member)
            metrics = [
                entities.Metric(name, value, round(1000 * times[step]), step)
                for step, values in steps
                for name, value in values.items()
            ]
            settings = {**member.settings, "seed": member.seed}
            params = [entities.Param(name, str(value)) for name, value in settings.items()]
            client.log_batch(child, params=params)
            for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
                client.log_batch(child, metrics=metrics[start : start + 1000])
            status = "FINISHED" if member.outcome in ("completed", "pruned") else "FAILED"
            client.set_terminated(child, status, end_time=round(1000 * times[-1]))
        client.set_terminated(parent.info.run_id, end_time=0)
    made.replace(path)


def _times(member: Exported) -> list[float]:
    """Spread a member's seconds evenly over its epochs, from 0."""
    count = len(member.curve)
    return [(member.seconds or 0.0) * i / max(1, count) for i in range(count + 1)]


def _write_tensorboard(path: Path, members: Sequence[Exported]) -> None:
    """Write event files, one folder a member, its settings as hyperparameters."""
    made = path.with_name(f".{path.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    with _quiet():
        summary = import_module("tensorboardX")
        for member in members:
            times = _times(member)
            with summary.SummaryWriter(str(made / member.name)) as writer:
                for step, values in enumerate(member.curve, 1):
                    for name, value in values.items():
                        writer.add_scalar(name, value, step, walltime=times[step])
                settings = {
                    name: value if isinstance(value, bool | int | float | str) else str(value)
                    for name, value in {**member.settings, "seed": member.seed}.items()
                }
                scores = {f"final/{name}": value for name, value in member.scores.items()}
                writer.add_hparams(settings, scores, name="settings")
    shutil.rmtree(path, ignore_errors=True)
    made.mkdir(exist_ok=True)  # of a run without members
    made.replace(path)
