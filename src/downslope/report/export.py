"""A run's members as tables and in the files of other tools: CSV, JSONL, MLflow, TensorBoard."""

from __future__ import annotations

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
from downslope.report.display import Frame
from downslope.report.headline import title
from downslope.results import Results
from downslope.runs import Run
from downslope.search import RefitResult, SearchResult

FORMATS: Final = ("csv", "jsonl", "mlflow", "tensorboard")


class ExportedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a run as other tools see it.

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
    seconds: float | None = None


def exported(run: Run, results: Results) -> list[ExportedMember]:
    """List every member of a run: trials, final trainings, variants, the autoencoder."""
    return list(_members(run, results))


def _members(run: Run, results: Results) -> Iterator[ExportedMember]:
    variants, coder = results.variants, results.autoencoder
    if results.search is not None:
        yield from _trials(results.search, "search")
    if results.refit is not None:
        yield from _seeds(run, results.refit, "refit", "refit")
    if variants is not None:
        yield from _trials(variants.search, "variants")
        if variants.refit is not None:
            yield from _seeds(run, variants.refit, "variants-refit", "variants")
    if coder is not None:
        yield ExportedMember(
            name="autoencoder",
            seed=coder.member.seed,
            outcome=coder.outcome,
            reason="; ".join(coder.stopped),
            settings=_settings(coder.member),
            scores=_known(test_mse=coder.test_mse, pca_test_mse=coder.pca_test_mse),
            curve=[_known(train_loss=epoch.train_loss) for epoch in coder.epochs],
        )


def _trials(search: SearchResult, part: str) -> Iterator[ExportedMember]:
    measures = ("train_loss", "validation_loss", "validation_accuracy")
    for trial in search.trials:
        yield ExportedMember(
            name=f"{part}/trial-{trial.id:03d}",
            seed=trial.member.seed,
            outcome=trial.outcome,
            reason=trial.reason,
            settings=msgspec.to_builtins(trial.settings),
            scores=_known(**{name: getattr(trial, name) for name in measures}),
            curve=[_known(**{name: getattr(x, name) for name in measures}) for x in trial.curve],
            seconds=trial.seconds,
        )


def _seeds(run: Run, refit: RefitResult, part: str, folder: str) -> Iterator[ExportedMember]:
    accuracies: dict[int, float] = {}
    if refit.test_accuracy is not None:
        completed = run.read_arrays(f"{folder}/predictions.npz", ("seeds",))["seeds"].tolist()
        accuracies = dict(zip(completed, refit.test_accuracy.per_seed, strict=True))
    for i, seed in enumerate(refit.seeds):
        completed = seed in accuracies
        yield ExportedMember(
            name=f"{part}/seed-{seed}",
            seed=seed,
            outcome="completed" if completed else "stopped",
            reason="" if completed else "; ".join(refit.stopped),
            settings=_settings(refit.member),
            scores=_known(test_accuracy=accuracies.get(seed)),
            curve=[_known(train_loss=epoch.train_loss_per_seed[i]) for epoch in refit.epochs],
        )


def _settings(member: Any) -> dict[str, Any]:
    fields = msgspec.to_builtins(member)
    return {**fields["network"], **fields["training"]}


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
    contents: dict[str, bytes] = {}
    if "csv" in formats:
        contents["members.csv"] = _member_frame(members).csv().encode()
        contents["epochs.csv"] = _epoch_frame(members).csv().encode()
    if "jsonl" in formats:
        lines = [msgspec.json.encode(member) + b"\n" for member in members]
        contents["members.jsonl"] = b"".join(lines)
    paths = [out / name for name in contents]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("mlflow.db", "tensorboard"):  # not written by us
            inside(out, name)
        for name, content in contents.items():
            write_whole(out / name, content)
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


def _member_frame(members: Sequence[ExportedMember]) -> Frame:
    """Return a row for every member; what a member has not is left empty."""
    names = ("name", "seed", "outcome", "reason", "seconds")
    scores = [name for member in members for name in member.scores]
    rows = [{n: getattr(x, n) for n in names} | x.scores | x.settings for x in members]
    return _frame((*names, *scores), rows)


def _epoch_frame(members: Sequence[ExportedMember]) -> Frame:
    """Return a row for every epoch of every member."""
    rows = [{"name": x.name, "epoch": i, **y} for x in members for i, y in enumerate(x.curve, 1)]
    return _frame(("name", "epoch"), rows)


def _frame(first: Sequence[str], rows: Sequence[dict[str, Any]]) -> Frame:
    columns = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return Frame([*columns], ([_plain(row.get(name)) for name in columns] for row in rows))


def _plain(value: Any) -> Any:
    """Write numbers with all of their digits, lists as they are."""
    return repr(value) if isinstance(value, float) else str(value) if value is not None else None


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


def _write_mlflow(path: Path, results: Results, members: Sequence[ExportedMember]) -> None:
    """Write an MLflow store with one experiment: the run, and its members as nested runs."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with _quiet():
        entities, tracking = import_module("mlflow.entities"), import_module("mlflow.tracking")

        def params(settings: dict[str, Any]) -> list[Any]:
            return [entities.Param(name, str(value)) for name, value in settings.items()]

        client = tracking.MlflowClient(tracking_uri=f"sqlite:///{part.resolve()}")
        # MLflow would else make a folder of artifacts where the command was called.
        place = (path.parent / "mlflow-artifacts").resolve().as_uri()
        name = title(results) or "downslope"
        experiment = client.create_experiment(name, artifact_location=place)
        run_id = client.create_run(experiment, run_name=results.data.name, start_time=0).info.run_id
        client.log_param(run_id, "data_sha256", results.data.sha256)
        refit = results.refit
        if refit is not None and refit.test_accuracy is not None:
            client.log_metric(run_id, "test_accuracy", refit.test_accuracy.mean, 0)
            client.log_batch(run_id, params=params(_settings(refit.member)))
        for member in members:
            tags = {"mlflow.parentRunId": run_id, "outcome": member.outcome}
            child = client.create_run(experiment, run_name=member.name, start_time=0, tags=tags)
            child_id = child.info.run_id
            times = _times(member)
            steps = [*enumerate(member.curve, 1), (len(member.curve), member.scores)]
            metrics = [
                entities.Metric(name, value, round(1000 * times[step]), step)
                for step, values in steps
                for name, value in values.items()
            ]
            client.log_batch(child_id, params=params({**member.settings, "seed": member.seed}))
            for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
                client.log_batch(child_id, metrics=metrics[start : start + 1000])
            status = "FINISHED" if member.outcome in ("completed", "pruned") else "FAILED"
            client.set_terminated(child_id, status, end_time=round(1000 * times[-1]))
        client.set_terminated(run_id, end_time=0)
    part.replace(path)


def _times(member: ExportedMember) -> list[float]:
    """Spread a member's seconds evenly over its epochs, from 0."""
    count = len(member.curve)
    return [(member.seconds or 0.0) * i / max(1, count) for i in range(count + 1)]


def _write_tensorboard(path: Path, members: Sequence[ExportedMember]) -> None:
    """Write event files, one folder a member, its settings as hyperparameters."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with _quiet():
        summary = import_module("tensorboardX")
        for member in members:
            times = _times(member)
            with summary.SummaryWriter(str(part / member.name)) as writer:
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
    part.mkdir(exist_ok=True)  # of a run without members
    part.replace(path)
