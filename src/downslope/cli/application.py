"""All commands under one name, and how an error ends them."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from downslope.cli.assignment import check, grade_assignment, handin, new_assignment
from downslope.cli.autoencoder import decode, encode, reconstruct
from downslope.cli.data import describe_data, fetch_data, list_data, verify_data
from downslope.cli.diagnose import diagnose
from downslope.cli.doctor import doctor
from downslope.cli.landscape import landscape
from downslope.cli.predict import predict
from downslope.cli.recipes import run, stage_command
from downslope.cli.runs import export, report, verify
from downslope.cli.study import study
from downslope.errors import InputError
from downslope.stages import STAGES
from downslope.terminal import ClosedOutputError, explain_output, say


class _PlainUsage:
    """Usage without braces around what is required, and flags without a type."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc] - mixed into Typer's classes
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc] - likewise
        if option is not None:
            option.metavar = ""
        return option


class _Command(_PlainUsage, TyperCommand): ...


class _Group(_PlainUsage, TyperGroup): ...


app = typer.Typer(
    name="downslope",
    cls=_Group,
    help="Train many small neural networks at once, tune them without touching the test set, and "
    "see how each one came down its loss landscape.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(context: typer.Context) -> None:
    """Show the help of a group where no command of it is named."""
    if context.invoked_subcommand is None:
        for line in context.get_help().splitlines():  # what rich has not shown already
            say(line)
        raise typer.Exit


@app.callback()
def _help_or_version(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Show the version and exit.")
    ] = False,
) -> None:
    if version:
        say(metadata.version("downslope"))
        raise typer.Exit
    _help(context)


data_app = typer.Typer(cls=_Group, help="List, fetch, verify and describe data sets.")
data_app.callback(invoke_without_command=True)(_help)


def _add(group: typer.Typer, function: Callable[..., None], name: str = "", text: str = "") -> None:
    add = group.command(name or None, cls=_Command, help=text or None)
    add(function)


_add(app, run)
for _name, _stage in STAGES.items():
    if _name != "landscape":  # that command is for networks of one's own
        _short = "autoencode" if _name == "autoencoder" else _name
        _text = f"{_stage.what} Short for: downslope run --stages {_name}."
        _add(app, stage_command(_name), _short, _text)
for _function in (
    check,
    predict,
    handin,
    diagnose,
    landscape,
    study,
    encode,
    decode,
    reconstruct,
    report,
    export,
    verify,
    doctor,
):
    _add(app, _function)
_add(data_app, list_data, "list")
_add(data_app, fetch_data, "fetch")
_add(data_app, verify_data, "verify")
_add(data_app, describe_data, "describe")
app.add_typer(data_app, name="data")
assignment_app = typer.Typer(cls=_Group, help="Make a course's assignment, and grade a class.")
assignment_app.callback(invoke_without_command=True)(_help)
_add(assignment_app, new_assignment, "new")
_add(assignment_app, grade_assignment, "grade")
app.add_typer(assignment_app, name="assignment")


def main() -> None:
    """Run the command line; see the design for its exit statuses."""
    try:
        try:
            status = app(standalone_mode=False, prog_name="downslope")
        except OSError as error:  # Typer prints the help itself
            if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO):
                raise explain_output(error) from None
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InputError(f"{error.filename}: {error.strerror}") from None
        except Exception as error:
            if not hasattr(error, "format_message"):  # else it is Typer's own, for a wrong usage
                raise
            raise InputError(_usage(error)) from None
    except ClosedOutputError:  # whoever read our output has gone, as head does
        sys.exit(141)
    except InputError as error:
        say(f"downslope: {error}", stderr=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: Any) -> str:
    """Say in one line what was wrong with the words of a command, and where help is."""
    text = " ".join(error.format_message().split()).rstrip(".")
    text = re.sub(r"^Invalid value for '(.*?)': (Value error, )?", r"\1: ", text)
    context = getattr(error, "ctx", None)
    command = "downslope" if context is None else context.command_path
    return f"{text}; see '{command} --help'"
