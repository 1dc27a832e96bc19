"""All commands under one name, and how an error ends them."""

import errno
import sys

import typer

from downslope.cli.autoencoder import decode, encode, reconstruct
from downslope.cli.data import describe_data, fetch_data, list_data, verify_data
from downslope.cli.doctor import doctor
from downslope.cli.landscape import landscape
from downslope.cli.recipes import part, run
from downslope.cli.runs import export, report, verify
from downslope.cli.theory import theory
from downslope.errors import InputError
from downslope.terminal import ClosedOutputError, explain_output, say

app = typer.Typer(
    name="downslope",
    help="Train many small neural networks at once, tune them without touching the test set, and "
    "see how each one came down its loss landscape.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(run)
app.command()(theory)
app.command("search")(part("search", "Search for the best settings on validation data."))
app.command("refit")(part("refit", "Train the winner again on all training data and test it."))
app.command("variants")(
    part("variants", "Search over batch norm, dropout and activations; test the best.")
)
app.command("autoencode")(part("autoencoder", "Train a dense autoencoder and compare it with PCA."))
for command in (encode, decode, reconstruct, landscape, report, export, verify, doctor):
    app.command()(command)

data_app = typer.Typer(no_args_is_help=True, help="List, fetch, verify and describe data sets.")
data_app.command("list")(list_data)
data_app.command("fetch")(fetch_data)
data_app.command("verify")(verify_data)
data_app.command("describe")(describe_data)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line; see the design for its exit statuses."""
    try:
        try:
            app()
        except OSError as error:  # Typer prints the help itself
            if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO):
                raise explain_output(error) from None
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InputError(f"{error.filename}: {error.strerror}") from None
    except ClosedOutputError:  # whoever read our output has gone, as head does
        sys.exit(141)
    except InputError as error:
        say(f"downslope: {error}", stderr=True)
        sys.exit(2)
