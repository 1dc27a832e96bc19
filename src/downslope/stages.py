"""The stages of a run, in their order: the one list of them. Training comes first, to be seen."""

from __future__ import annotations

from typing import Final, NamedTuple


class Stage(NamedTuple):
    """A stage, named as in a recipe and in `results.json`.

    Args:
        title: of its section in reports, and in the progress line.
        needs: the stages that it builds on; final training needs no search where the recipe says
            what to train.
        what: it does, in a sentence.
    """

    title: str
    needs: tuple[str, ...]
    what: str


STAGES: Final[dict[str, Stage]] = {
    "search": Stage("search", (), "Search for the best settings on validation data."),
    "refit": Stage(
        "final training", ("search",), "Train the winner on all training data and test it."
    ),
    "variants": Stage(
        "variants",
        ("refit",),
        "Search over batch norm, dropout and activations; test the best.",
    ),
    "landscape": Stage(
        "landscape",
        ("refit",),
        "Draw the loss landscape under the path of the final model's training.",
    ),
    "autoencoder": Stage("autoencoder", (), "Train a dense autoencoder and compare it with PCA."),
    "theory": Stage("theory", (), "Check the theory of He initialization, on paper and measured."),
}
