"""The trained model that a run leaves: its final networks, and what is known of their errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from downslope.engines import predict, train
from downslope.models import FOLDER, Model, row_digests
from downslope.networks import Member
from downslope.progress import Progress, Steps
from downslope.recipes.context import Context
from downslope.search import Refit


def write_model(context: Context, done: Refit) -> Steps[None]:
    """Write what predicts new rows: the weights of each seed lie there and nowhere else."""
    residuals = None
    if context.dataset.task == "regression":
        residuals = yield from _validation_residuals(context, done.result.member)
    model = Model(
        network=done.result.member.network,
        encoding=context.encoding,
        states=done.states,
        residuals=residuals,
        seen={
            "training": row_digests(np.asarray(context.everything.inputs, np.float32)),
            "test": row_digests(done.test_inputs),
        },
        data=context.dataset.name,
        data_sha256=context.dataset.sha256,
    )
    for name, content in model.files().items():
        context.run.write(f"{FOLDER}/{name}", content)


def _validation_residuals(context: Context, member: Member) -> Steps[NDArray[np.float64] | None]:
    """Train the final network once more without validation rows; return its errors on them.

    They are what intervals of new values are made of, and the final training has seen those rows.
    """
    last = None
    for last in train([member], context.training, threads=1, make_runner=context.make_runner):
        note = "once more without validation rows, for the intervals of predictions"
        yield Progress("refit", last.epoch, member.training.epochs, note)
    if last is None or last.outcome != "completed" or last.state is None:
        return None
    validation, numbers_of = context.validation, context.encoding.numbers_of
    outputs = predict(member.network, last.state, np.asarray(validation.inputs, np.float32))
    return np.abs(numbers_of(outputs) - numbers_of(np.asarray(validation.targets, np.float32)))
