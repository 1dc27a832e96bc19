"""The command that predicts new rows with the trained model of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from downslope.bars import watch
from downslope.cli.data import load_dataset
from downslope.cli.options import QuietOption
from downslope.errors import InputError
from downslope.files import check_writable, write_whole
from downslope.terminal import say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from downslope.models import Model, Predictions

ARRAYS = (".npy", ".npz")


class _Rows(NamedTuple):
    """Rows to predict, and what is known of them: names of classes, or numbers.

    Args:
        inputs: as `Model.encode` takes them.
        truth: shape (rows,); None without a label column.
        known: which rows have a label, shape (rows,).
        files: of pictures, where each is from.
        notes: how DATA were read, and which rows of them these are where they are not all.
    """

    inputs: Any
    truth: NDArray[Any] | None = None
    known: NDArray[Any] | None = None
    files: list[str] | None = None
    notes: Sequence[str] = ()


def predict(
    directory: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run whose final training has finished.")
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A table, an array or a data set to predict.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A .csv or .parquet, in full; else on the screen."
        ),
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", metavar="", help="With the probability of each class.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict rows with the trained model of a run; where they have labels, say how well."""
    from downslope.models import load_model

    if out is not None:
        if out.suffix.lower() not in (".csv", ".parquet"):
            raise InputError(f"--out {out}: its name must end in .csv or .parquet")
        check_writable(out)
    model = load_model(directory)
    if proba and model.encoding.task == "regression":
        raise InputError("--proba: this model predicts numbers, which have no probabilities")
    rows = _read(model, data, quiet)
    inputs = model.encode(rows.inputs)
    predictions = model.combine(inputs)
    frame = predictions.frame(model.encoding.class_names, proba=proba)
    if rows.files is not None:
        frame.insert(0, "file", rows.files)
    _write(frame, out)
    notes = [*rows.notes]
    if rows.truth is not None and rows.known is not None and rows.known.any():
        notes += _scores(directory, data, model, rows, inputs, predictions)
    if out is not None:
        say(out if quiet else f"{len(inputs):,} predictions: {out}")
    for note in notes if not quiet else []:
        say(note, stderr=True)


def _read(model: Model, data: str, quiet: bool) -> _Rows:
    """Read rows of the kind that the model was trained on."""
    path = Path(data).expanduser()
    if path.suffix.lower() in ARRAYS:
        return _read_arrays(model, path)
    if model.encoding.columns:
        return _read_table(model, path)
    if path.is_dir() and (rows := _read_pictures(model, path, quiet)) is not None:
        return rows
    dataset = load_dataset(data, quiet)
    test = dataset.test.open("predict")  # counted by what the model has kept of its own test rows
    names = _names(dataset.class_names, test.targets)
    return _Rows(test.inputs, names, names != "", notes=[f"the test set of {data} is predicted"])


def _read_pictures(model: Model, folder: Path, quiet: bool) -> _Rows | None:
    import numpy as np

    from downslope.data.pictures import read_new_pictures

    read = watch(read_new_pictures(folder, model.encoding.shape), quiet)
    if read is None:
        return None
    labels = np.array(read.labels, object)
    known = np.isin(labels, model.encoding.class_names)
    return _Rows(read.pixels, labels, known if known.all() else None, read.names, read.notes)


def _read_arrays(model: Model, path: Path) -> _Rows:
    import numpy as np

    from downslope.data.arrays import parse_npy, read_npz
    from downslope.data.files import read_whole
    from downslope.data.labels import Labels, encode, numbers

    if path.suffix.lower() == ".npy":
        return _Rows(parse_npy(read_whole(path), path))
    arrays, _ = read_npz(path)
    inputs, labels = list(arrays)[-2:]
    read = Labels(arrays[labels], f"{path}: {labels}")
    notes = [] if len(arrays) == 2 else [f"{inputs} of {path} is predicted"]
    if model.encoding.task == "regression":
        truth = numbers(read)
    else:
        (codes,), classes = encode(read)
        truth = _names(classes, codes)
    return _Rows(arrays[inputs], truth, np.ones(len(truth), bool), notes=notes)


def _read_table(model: Model, path: Path) -> _Rows:
    import numpy as np

    from downslope.data import Column
    from downslope.data.columns import MISSING, own_names, values_of
    from downslope.data.labels import Labels, encode
    from downslope.data.table import label_values, read_frame

    frame, notes, _ = read_frame(path, model.encoding.decimal)
    notes = [note for note in notes if note.startswith("numbers with")]
    frame = frame.set_axis(own_names(frame.columns), axis=1)
    target = model.encoding.target
    if target not in frame.columns:
        return _Rows(frame, notes=notes)
    column = frame.iloc[:, frame.columns.get_indexer([target])[0]]
    if model.encoding.task == "regression":
        truth = values_of(column, Column(name=target, kind="number"), path)
        return _Rows(frame, truth, np.isfinite(truth), notes=notes)
    values = label_values(column)
    words = np.char.strip(values.astype(str))
    # A class may be called "none": what is missing else is a class where the model has it.
    missing = np.isin(np.char.lower(words), list(MISSING))
    known = ~missing | np.isin(words, model.encoding.class_names)
    truth = np.full(len(words), "", object)
    if known.any():
        rows = np.flatnonzero(known)
        read = Labels(
            values[known], str(path), lambda row: f"row {rows[row] + 1}, label column {target!r}"
        )
        (codes,), classes = encode(read)
        truth[known] = _names(classes, codes)
    return _Rows(frame, truth, known, notes=notes)


def _names(classes: Any, codes: Any) -> NDArray[Any]:
    import numpy as np

    return np.array(classes, object)[np.asarray(codes, np.int64)]


def _write(frame: Any, out: Path | None) -> None:
    if out is None:
        for line in frame.to_csv(index=False, float_format="%.6g").splitlines():
            say(line)
    elif out.suffix.lower() == ".csv":
        write_whole(out, frame.to_csv(index=False).encode())
    else:
        try:
            write_whole(out, frame.to_parquet(index=False))
        except ImportError:
            raise InputError(
                f"--out {out}: pyarrow is not installed; pip install 'downslope[parquet]', or "
                "write a .csv"
            ) from None


def _scores(
    directory: Path, data: str, model: Model, rows: _Rows, inputs: Any, predictions: Predictions
) -> list[str]:
    """Say how well the rows with labels are predicted: new, sealed and trained ones apart."""
    import numpy as np

    from downslope.data import Opening
    from downslope.models import row_digests
    from downslope.runs import Run

    assert rows.truth is not None and rows.known is not None
    digests = row_digests(inputs)
    trained = np.isin(digests, model.seen.get("training", []))
    sealed = np.isin(digests, model.seen.get("test", [])) & ~trained
    said: list[str] = []
    for which, part in (("new", ~trained & ~sealed), ("sealed", sealed), ("trained", trained)):
        chosen = part & rows.known
        if not chosen.any():
            continue
        text = _score(rows.truth[chosen], predictions, chosen)
        number = int(chosen.sum())
        count = f"{number:,} row{'s' * (number > 1)}"
        if which == "new":
            said.append(f"{text} on {count}")
        elif which == "trained":
            said.append(f"{text} on {count} that the model was trained on: no estimate for others")
        else:
            run = Run(directory)
            counted = "which is counted as an opening"
            if run.exists:
                run.count_openings([Opening(f"predict: score on {count} of {data}")])
            else:
                counted = "an opening that is not counted, since the run is not here"
            said.append(f"{text} on {count} of the sealed test set, {counted}")
    return said


def _score(truth: NDArray[Any], predictions: Predictions, chosen: NDArray[Any]) -> str:
    import numpy as np

    from downslope.statistics import wilson_interval

    values = predictions.values[chosen]
    if predictions.probabilities is not None:
        share = float(np.mean(values == truth))
        low, high = wilson_interval(share, len(truth))
        return f"accuracy {share:.4f} (95 % interval {low:.4f} to {high:.4f})"
    errors = values - truth
    spread = float(np.sum((truth - truth.mean()) ** 2))
    text = f"root mean squared error {np.sqrt(np.mean(errors**2)):.4g}"
    if spread > 0:
        text += f", R2 {1 - float(np.sum(errors**2)) / spread:.4f}"
    if predictions.interval is not None:
        low, high = predictions.interval[chosen].T
        text += f", {np.mean((low <= truth) & (truth <= high)):.1%} within their 95 % intervals"
    return text
